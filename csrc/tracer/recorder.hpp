/// Records of the ops that a trace runs.
#pragma once

#include <vector>

#include "tracer/module_tree.hpp"
#include "tracer/seen_tensors.hpp"

namespace bopscount::tracer {

/// `Op::channel_axis` where the kind's row says which it is.
inline constexpr int axis_of_kind = 1 << 16;

/// Arguments of `emit`.
struct Op {
  std::uint16_t kind = 0;
  PyObject *name = nullptr;
  PyObject *operands = nullptr; ///< a tuple of tensors
  PyObject *shape = Py_None, *dtype = Py_None, *fields = Py_None, *into = Py_None;
  int channel_axis = axis_of_kind;
  bool batched = true;
};

/// Writes records: sizes and dtypes from the operands, the module from the calls that run.
class Recorder {
public:
  Recorder(const ModuleTree &tree, Forms &forms, SeenTensors &seen)
      : tree_(tree), forms_(forms), seen_(seen) {}
  Recorder(const Recorder &) = delete;
  Recorder &operator=(const Recorder &) = delete;

  /// Scope in which a module runs, so that records are its own.
  class Frame {
  public:
    Frame(Recorder &recorder, std::int32_t node)
        : frames_(recorder.frames_), depth_(frames_.size()) {
      frames_.push_back(node);
    }
    ~Frame() { frames_.resize(depth_); }
    Frame(const Frame &) = delete;
    Frame &operator=(const Frame &) = delete;

  private:
    std::vector<std::int32_t> &frames_;
    std::size_t depth_;
  };

  /// Return the index of the module that runs now.
  std::int32_t node() const { return frames_.empty() ? 0 : frames_.back(); }
  /// Return the number of records.
  std::size_t size() const { return recording_.size(); }
  /// Return the number of records with MACs; `rewrite` never drops those.
  std::size_t n_products() const { return n_products_; }
  Recording &recording() { return recording_; }
  const Recording &recording() const { return recording_; }
  /// Return the module of each record.
  const std::vector<std::int32_t> &nodes() const { return nodes_; }
  /// Return the name of a record's op, borrowed.
  PyObject *op(std::size_t record) const { return ops_[record].get(); }

  /// Append a record; return its index. The first `n_carriers` inputs may pass on bit widths.
  std::int32_t add(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                   const Recording::Slot *inputs, std::size_t n_inputs, std::size_t n_carriers);
  /// Set the fields of a record that follow from its operands and output.
  void describe(Layer &layer, const Value *operands, std::size_t n_operands, const Form *out,
                int channel_axis, bool batched);
  /// Set the sizes and the weight of a matrix product of two operands.
  void describe_product(Layer &layer, const Value *operands, const Form *out);
  /// Record that `record` wrote an existing tensor, on memory `slot` if it has one.
  void put(PyObject *tensor, Recording::Slot slot, std::int32_t record);
  /// Return a new tensor as the output of `record`; a new reference.
  PyObject *new_output(const Form *form, std::int32_t record) {
    return seen_.tensor_of({nullptr, form, recording_.new_slot(record)});
  }

  /// Record an op and return its output tensor (`into` if given), or record only and return
  /// None if there is neither a shape nor `into`.
  py::object emit(const Op &op);
  /// Return a further output of the last record.
  py::object another(PyObject *shape, PyObject *dtype);
  /// Record that a tensor is the network's next input; before anything else is recorded.
  void input(PyObject *tensor);
  /// Record that `tensor` is a view of `base`, or `base` itself.
  void alias(PyObject *tensor, PyObject *base);
  /// Set the bit width of a tensor's values.
  void set_bits(PyObject *tensor, int bits);
  /// Return the bit width of a tensor's values, or 0 if unknown.
  int bits_of(PyObject *tensor) const;
  /// Return the record that produced a tensor, or -1 for an input or a constant.
  std::int32_t producer_of(PyObject *tensor) const {
    return recording_.producer(seen_.slot_of(tensor));
  }
  /// Of the records from `mark` on, keep those with MACs, or else embedding look-ups, and set
  /// `fields` on them; return their number.
  std::size_t rewrite(std::size_t mark, PyObject *fields);

private:
  const ModuleTree &tree_;
  Forms &forms_;
  SeenTensors &seen_;
  Recording recording_;
  std::vector<Ref> ops_;            ///< the name of each record's op
  std::vector<std::int32_t> nodes_; ///< the module of each record
  std::vector<std::int32_t> frames_;
  std::size_t n_products_ = 0;
};

} // namespace bopscount::tracer
