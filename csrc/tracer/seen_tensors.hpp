/// Tensors that have passed through the tracer.
#pragma once

#include <unordered_map>
#include <vector>

#include "recording/recording.hpp"
#include "tracer/forms.hpp"
#include "tracer/host.hpp"

namespace bopscount::tracer {

/// A tensor between two ops, or its description if no tensor has been made yet.
struct Value {
  PyObject *tensor = nullptr; ///< borrowed; null if not made yet
  const Form *form = nullptr;
  Recording::Slot slot = Recording::no_slot; ///< its memory
};

/// Properties of a tensor that was seen.
struct Seen {
  Recording::Slot slot;
  const Form *form;     ///< null if torch must be asked
  bool made;            ///< by the tracer: contiguous, on meta, and nobody else's
  bool on_meta = false; ///< known to be
};

/// The tensors of one trace by identity, with their memory slots and forms.
class SeenTensors {
public:
  SeenTensors(Forms &forms, FunctionModes &modes, const Host &host)
      : forms_(forms), modes_(modes), host_(host) {}
  SeenTensors(const SeenTensors &) = delete;
  SeenTensors &operator=(const SeenTensors &) = delete;

  /// Record that a tensor is on memory `slot`. With a form, it is one that the tracer made.
  void add(PyObject *tensor, Recording::Slot slot, const Form *form = nullptr);
  /// Return what is known about a tensor, or null.
  const Seen *find(PyObject *tensor) const {
    const auto found = seen_.find(tensor);
    return found == seen_.end() ? nullptr : &found->second;
  }
  /// Return a tensor's memory slot, or `no_slot`.
  Recording::Slot slot_of(PyObject *tensor) const {
    const Seen *const seen = find(tensor);
    return seen == nullptr ? Recording::no_slot : seen->slot;
  }
  /// Return the form of a tensor that the tracer made, or null.
  const Form *made_form(PyObject *tensor) const {
    const Seen *const seen = find(tensor);
    return seen != nullptr && seen->made ? seen->form : nullptr;
  }
  /// Whether the tracer made a tensor.
  bool is_made(PyObject *tensor) const {
    const Seen *const seen = find(tensor);
    return seen != nullptr && seen->made;
  }

  /// Describe a tensor. False, without an error, for other objects and for symbolic sizes.
  bool look(PyObject *tensor, Value &value);
  /// Describe a floating-point tensor of torch's own classes.
  bool look_at_floats(PyObject *tensor, Value &value);
  /// Return a value's tensor, made if there is none yet; a new reference.
  PyObject *tensor_of(const Value &value);
  /// Whether a seen tensor is on meta; false if it was not seen.
  bool is_on_meta(PyObject *tensor);
  /// Whether a tensor depends on the input or is a parameter, so that nobody may read its values.
  bool is_live(PyObject *tensor) const;
  /// Forget the forms of a call's arguments, which torch may change in place.
  void forget_forms(PyObject *args);
  /// Drop all tensors.
  void clear();

private:
  // Elements of the map keep their address, also if Python code adds others meanwhile.
  Seen *find_mutable(PyObject *tensor) {
    const auto found = seen_.find(tensor);
    return found == seen_.end() ? nullptr : &found->second;
  }

  Forms &forms_;
  FunctionModes &modes_;
  const Host &host_;
  std::unordered_map<PyObject *, Seen> seen_;
  std::vector<Ref> kept_; ///< keeps the addresses in `seen_` from being reused
};

} // namespace bopscount::tracer
