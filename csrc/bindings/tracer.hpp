/// The tracer: stands in for the forward of a model's modules, one thread at a time.
///
/// While a tracer is active, the `__call__` of every class in its model is
/// `traced_call`. A leaf of known type is answered by its rule; any other module
/// is entered, so that what runs inside belongs to it. Functions between modules
/// come in through Python (a TorchFunctionMode), and are recorded with `emit`.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <unordered_map>
#include <vector>

#include "../recording.hpp"
#include "leaf.hpp"
#include "python.hpp"

namespace bopscount::bindings {

namespace py = pybind11;

/// One module of the model, under its first path.
struct Node {
  PyObject *module = nullptr; ///< kept alive by the tracer
  PyObject *dict = nullptr;   ///< its __dict__, borrowed
  PyObject *name = nullptr;   ///< name in the parent, borrowed from its _modules
  std::int32_t parent = -1;
  std::int32_t height = 1;
  bool leaf = false;
  bool registered = false; ///< has a rule of register_layer's
  bool hooked = false;     ///< has hooks of the user's: torch calls them
  const LeafRule *rule = nullptr;
  PyObject *python_rule = nullptr; ///< borrowed from the tracer's classes
  std::int64_t calls = 0;
  std::int64_t params = 0;
  LeafModule view; ///< what its leaf rule sees
};

/// What a class of modules is to the tracer; decided by Python, once a trace.
struct ModuleClass {
  bool leaf = false;
  bool registered = false;
  const LeafRule *rule = nullptr;
  Ref python_rule;
};

/// A module whose forward runs.
struct Frame {
  std::int32_t node;
  std::size_t mark; ///< records before it
};

class Tracer {
public:
  /// `classify(cls)` gives (leaf, rule name or callable or None, registered);
  /// `rewrite(node, mark, args, kwargs, output)` is called after a registered class.
  Tracer(py::object classify, py::object rewrite, bool real);
  ~Tracer();
  Tracer(const Tracer &) = delete;
  Tracer &operator=(const Tracer &) = delete;

  /// Lists the model's modules, parents before children, iteratively.
  void walk(const py::object &model);
  /// The classes of the listed modules.
  py::list classes() const;

  /// Makes this the tracer of the calling thread; returns the one before it.
  void activate();
  void deactivate();

  std::int32_t node() const { return frames_.empty() ? 0 : frames_.back().node; }
  std::size_t n_records() const { return recording_.size(); }

  /// Records an op and returns its output tensor (`into` if given), or records
  /// only and returns None if `shape` is None and there is no `into`.
  py::object emit(int kind, py::str op, py::sequence operands, py::object shape, py::object dtype,
                  int channel_axis, bool batched, py::object fields, py::object into);
  /// The output of a function by the leaf rule of number `rule` for a module with such
  /// attributes, recorded; None where the rule is not certain.
  py::object answer(std::size_t rule, const py::str &op, const py::object &input,
                    const py::dict &attributes, const py::object &weight, const py::object &bias);
  /// The next output of the last record, for ops that have several.
  py::object another(py::object shape, py::object dtype);
  /// Says that `tensor` is a view of `base`, or `base` itself.
  void alias(const py::object &tensor, const py::object &base);
  /// Of the records from `mark` on keeps those of MAC kinds, with `fields` set; their number.
  std::size_t rewrite(std::size_t mark, const py::dict &fields);
  /// The slot's producer record of a tensor, -1 for an input or constant.
  std::int32_t producer_of(const py::object &tensor) const;

  /// Lets go of the callbacks, tensors and errors of a trace that is over; what was
  /// recorded stays. Python's collector cannot see the cycle through the callbacks.
  void release();

  /// Exact totals so far, parameters included.
  py::tuple totals(const std::string &rules);
  /// Everything, as data for a LayerTable.
  py::dict finish();
  /// (node index, shapes of its tensors) of the module that raised, deepest first.
  py::object failure() const;
  std::string path(std::int32_t node) const;

  /// The replacement of a module class's __call__.
  PyObject *call(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  /// Whether this thread is the one that traces.
  bool is_mine() const;

private:
  bool ask(const LeafRule &rule, const LeafModule &view, PyObject *input, Dims &in, Ref &out_dtype,
           LeafAnswer &answer);
  PyObject *output_of(const LeafAnswer &answer, PyObject *input, PyObject *out_dtype,
                      std::int32_t record);
  PyObject *call_leaf(Node &node, std::int32_t index, PyObject *input);
  PyObject *enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                  PyObject *names);
  PyObject *call_forward(Node &node, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  bool after_registered(std::int32_t index, std::size_t mark, PyObject *const *args,
                        Py_ssize_t n_args, PyObject *names, PyObject *output);
  void note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  const ModuleClass *class_of(PyTypeObject *type);
  void describe(Node &node, const ModuleClass &about);
  void set_heights(const std::vector<std::pair<std::int32_t, std::int32_t>> &shared);

  struct Dtype {
    std::uint8_t item_bytes;
    bool floating;
    bool index; ///< int32 or int64, as indices are
  };
  const Dtype &dtype_of(PyObject *dtype);
  Recording::Slot slot_of(PyObject *tensor);
  Ref make_tensor(const Dims &dims, PyObject *dtype);
  void own(PyObject *tensor, Recording::Slot slot);
  std::int32_t record(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                      const Recording::Slot *inputs, std::size_t n_inputs);
  void count_params();
  std::vector<Layer> layers_with_params(std::vector<std::int32_t> *extra_nodes);

  struct Template {
    Dims dims;
    PyObject *dtype;
    bool operator==(const Template &other) const {
      return dtype == other.dtype && dims == other.dims;
    }
  };
  struct TemplateHash {
    std::size_t operator()(const Template &key) const;
  };

  Ref classify_, rewrite_, empty_, meta_, disable_, module_call_, empty_keywords_, peek_transform_;
  bool real_;
  bool global_hooks_ = false; ///< torch calls hooks for every module
  unsigned long thread_ = 0;
  Tracer *previous_ = nullptr;
  std::vector<Node> nodes_;
  std::unordered_map<PyObject *, std::int32_t> index_of_;
  std::unordered_map<PyTypeObject *, ModuleClass> classes_;
  std::unordered_map<PyObject *, Dtype> dtypes_;
  std::unordered_map<Template, PyObject *, TemplateHash> templates_;
  std::unordered_map<PyObject *, Recording::Slot> slots_;
  std::vector<PyObject *> kept_; ///< tensors whose address is in slots_; owned
  std::vector<Frame> frames_;
  std::vector<PyObject *> ops_; ///< name of each record's op; owned
  std::vector<std::int32_t> record_nodes_;
  Recording recording_;
  bool params_counted_ = false;
  Ref failure_, failed_error_;
};

void register_tracer(py::module_ &module);
/// Sets one field of a record by its name; TypeError or ValueError if it cannot.
void set_field(Layer &layer, const std::string &name, PyObject *value);

} // namespace bopscount::bindings
