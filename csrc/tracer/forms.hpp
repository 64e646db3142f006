/// Shapes and dtypes of tensors, each pair kept once.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "tracer/function_modes.hpp"

namespace bopscount::tracer {

/// Properties of a torch.dtype.
struct Dtype {
  std::uint8_t item_bytes;
  bool floating;
  bool index;   ///< int32 or int64, the dtypes of indices
  bool integer; ///< of any width, quantized dtypes too
  bool complex;

  /// Whether the values are whole numbers or levels: neither floats nor complex.
  bool quantised() const { return !floating && !complex; }
};

/// A shape and a dtype.
struct Form {
  Dims dims;
  PyObject *dtype = nullptr; ///< borrowed; torch never frees its dtypes
  mutable Ref tensor{};      ///< template of such a tensor on meta, made on demand
  mutable Ref size{};        ///< the shape as a torch.Size, made on demand
  bool operator==(const Form &other) const { return dtype == other.dtype && dims == other.dims; }
};

/// Interned forms and dtypes of one trace.
class Forms {
public:
  explicit Forms(FunctionModes &modes) : modes_(modes) {}

  /// Return the form of this shape and dtype; equal forms have equal addresses.
  const Form *form_of(const Dims &dims, PyObject *dtype) {
    return &*forms_.emplace(Form{dims, dtype}).first;
  }
  const Dtype &dtype_of(PyObject *dtype);
  /// Return a new tensor on meta.
  Ref make_tensor(const Form &form);
  /// Return the shape as a torch.Size, borrowed.
  PyObject *size_of(const Form &form);
  /// Drop all forms, and the templates with them.
  void clear() { forms_.clear(); }

private:
  struct Hash {
    std::size_t operator()(const Form &key) const;
  };

  FunctionModes &modes_;
  std::unordered_map<PyObject *, Dtype> dtypes_;
  std::unordered_set<Form, Hash> forms_;
};

} // namespace bopscount::tracer
