/// The tracer: stands in for the forward of a model's modules, one thread at a time.
///
/// While a tracer is active, the calls of every class in its model go through
/// `traced_call`. A leaf of known type is answered by its rule; any other module
/// is entered, so that what runs inside belongs to it. Functions between modules
/// come in through a TorchFunctionMode, are answered by rules in Python, and recorded
/// with `emit`.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "recording/recording.hpp"
#include "tracer/leaf.hpp"
#include "tracer/python.hpp"

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
  Ref hooks, pre_hooks;    ///< its own, on forward: a forward may register more; null if none
  bool sequential = false; ///< its forward is nn.Sequential's
  bool plain_call = false; ///< its class has no __call__ of its own
  const LeafRule *rule = nullptr;
  PyObject *python_rule = nullptr; ///< borrowed from the tracer's classes, or the adapter's
  Ref adapter_rule;                ///< what answers it in place of its forward; null if nothing
  PyObject *class_name = nullptr;  ///< likewise
  std::int64_t calls = 0;
  std::int64_t params = 0;
  std::int64_t logical_params = -1; ///< where they are packed; -1: as held
  LeafModule view;                  ///< what its leaf rule sees

  /// Whether it has hooks now.
  bool is_hooked() const {
    return hooked || (hooks && PyDict_GET_SIZE(hooks.get()) != 0) ||
           (pre_hooks && PyDict_GET_SIZE(pre_hooks.get()) != 0);
  }
};

/// What a class of modules is to the tracer; decided by Python, once a trace.
struct ModuleClass {
  bool leaf = false;
  bool registered = false;
  bool sequential = false;
  bool plain_call = false; ///< its __call__ is nn.Module's
  bool adapted = false;    ///< an adapter might know its instances
  const LeafRule *rule = nullptr;
  Ref python_rule, name;
};

/// Shape and dtype; torch keeps its dtypes.
struct Form {
  Dims dims;
  PyObject *dtype = nullptr;
  /// A tensor of this form on meta, to be copied, and its size; null until they are asked for.
  mutable Ref tensor{}, size{};
  bool operator==(const Form &other) const { return dtype == other.dtype && dims == other.dims; }
};

/// What passes from op to op: a tensor, or what is known of one that nobody has asked for.
struct Value {
  PyObject *tensor = nullptr; ///< borrowed; null while there is none
  const Form *form = nullptr;
  Recording::Slot slot = Recording::no_slot;
};

/// Functions that are answered without Python, by what they take.
enum class NativeForm {
  linear,
  matmul,
  binary,
  binary_in_place,
  unary,
  activation, ///< unary, with an argument `inplace`
  dropout,
  set_item
};
struct Native {
  NativeForm form;
  std::uint16_t kind;
  PyObject *name;   ///< of the op in its record
  std::size_t rank; ///< of the operands; 0 for any
};

struct Answer;
struct Arguments;

/// What is asked of a tensor without a change to it, where that can be known without torch.
enum class Question { other, shape, size, dim, dtype, is_nested };

/// A module whose forward runs.
struct Frame {
  std::int32_t node;
  std::size_t mark; ///< records before it
};

class Tracer {
public:
  /// `driver` is the Python half: `classify(cls)` gives (leaf, rule name or callable or
  /// None, registered, sequential, adapted); `adapt(module, node)` what an adapter says of it:
  /// None, an inner module to ask about later, or (rule or None, logical parameters or -1),
  /// which makes it a registered leaf; `rewrite(module, mark, args, output)` is called after a
  /// registered class; `fall_back`, `view`, `constant` and `ask_stand_in` answer functions.
  Tracer(py::object driver, bool real);
  ~Tracer();
  Tracer(const Tracer &) = delete;
  Tracer &operator=(const Tracer &) = delete;

  /// Lists the model's modules, parents before children, iteratively.
  void walk(const py::object &model);
  /// Runs `body()` with this tracer in place of the model's modules and of torch's
  /// functions, in eval mode and without gradients; then, whatever happened, `tidy()`.
  ///
  /// What is changed for the time is changed and put back here and not in Python, where
  /// an interrupt may arrive between any two lines. `patches` are further (object,
  /// attribute name, value) to set; `mode` is the function mode.
  void run(const py::object &model, const py::object &body, const py::object &tidy,
           const py::object &mode, const py::list &patches, bool training);

  std::int32_t node() const { return frames_.empty() ? 0 : frames_.back().node; }
  std::size_t n_records() const { return recording_.size(); }
  /// How many of the records are of MAC kinds; `rewrite` drops none of those.
  std::size_t n_products() const { return n_products_; }

  /// What `emit` of the module records.
  struct Op {
    std::uint16_t kind = 0;
    PyObject *name = nullptr;
    PyObject *operands = nullptr; ///< a tuple of tensors
    PyObject *shape = Py_None, *dtype = Py_None, *fields = Py_None, *into = Py_None;
    int channel_axis = 1;
    bool batched = true;
  };
  /// Records an op and returns its output tensor (`into` if given), or records
  /// only and returns None if `shape` is None and there is no `into`.
  py::object emit(const Op &op);
  /// The output of a function by the leaf rule of number `rule` for a module with such
  /// attributes, recorded; None where the rule is not certain.
  py::object answer(std::size_t rule, const py::str &op, const py::object &input,
                    const py::dict &attributes, const py::object &weight, const py::object &bias);
  /// What a torch function returns, recorded; the mode's __torch_function__.
  PyObject *function(PyObject *func, PyObject *args, PyObject *keywords);
  /// Whether a torch function called now would come to `function` through the mode.
  bool is_on_top() const;
  PyObject *answer_question(Question question, PyObject *const *args, Py_ssize_t n_args);
  /// The same as `function` where the mode is on its stack, or null where that has to be asked.
  PyObject *direct(const Answer &answer, PyObject *func, const Arguments &given);
  /// The same where an argument of class `type` only stands for a tensor: the class says which
  /// functions of tensors it comes to, and these are recorded.
  PyObject *function_of(PyObject *type, PyObject *func, PyObject *types, PyObject *args,
                        PyObject *keywords);
  /// Says that the values of `tensor` have `bits` bits.
  void set_bits(const py::object &tensor, int bits);
  /// How many bits the values of `tensor` have; 0 if nothing is known.
  int bits_of(const py::object &tensor) const;
  /// The next output of the last record, for ops that have several.
  py::object another(py::object shape, py::object dtype);
  /// Says that `tensor` is the network's next input; before anything is recorded.
  void input(const py::object &tensor);
  /// Says that `tensor` is a view of `base`, or `base` itself.
  void alias(const py::object &tensor, const py::object &base);
  /// Of the records from `mark` on keeps those of MAC kinds, or if there are none the look-ups
  /// of embeddings, with `fields` set; their number.
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

  /// What a call of a module does in its place.
  PyObject *call(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  /// The parameter, buffer or module of that name that a module of the model holds, as
  /// nn.Module.__getattr__ finds it; null, with no error, if that has to be asked.
  PyObject *held(PyObject *module, PyObject *name) const;
  /// Whether this thread is the one that traces.
  bool is_mine() const;

private:
  bool look(PyObject *tensor, Value &value);
  bool ask(const LeafRule &rule, const LeafModule &view, const Form &in, const Form *&out,
           LeafAnswer &answer);
  Value output_of(const LeafAnswer &answer, const Value &input, const Form *out,
                  std::int32_t record);
  PyObject *tensor_of(const Value &value);
  bool answer_leaf(const Node &node, std::int32_t index, Value &value);
  PyObject *call_leaf(Node &node, std::int32_t index, PyObject *input);
  PyObject *call_children(const Node &node, PyObject *input);
  PyObject *enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                  PyObject *names);
  PyObject *call_forward(const Node &node, PyObject *const *args, Py_ssize_t n_args,
                         PyObject *names);
  bool after_registered(std::int32_t index, std::size_t mark, PyObject *const *args,
                        Py_ssize_t n_args, PyObject *names, PyObject *output);
  void note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
  const ModuleClass *class_of(PyTypeObject *type);
  void describe(Node &node, const ModuleClass &about);
  void adapt(Node &node, std::int32_t index, const ModuleClass &about);
  void set_heights(const std::vector<std::pair<std::int32_t, std::int32_t>> &shared);

  struct Dtype {
    std::uint8_t item_bytes;
    bool floating;
    bool index;   ///< int32 or int64, as indices are
    bool integer; ///< of any width, quantised ones too
  };
  const Dtype &dtype_of(PyObject *dtype);
  Recording::Slot slot_of(PyObject *tensor) const;
  const Form *form_of(const Dims &dims, PyObject *dtype);
  Ref make_tensor(const Form *form);
  void own(PyObject *tensor, Recording::Slot slot, const Form *form = nullptr);
  void put(PyObject *tensor, Recording::Slot slot, std::int32_t record);
  void forget_forms(PyObject *args);
  /// Tensors of a call that are no live ones.
  struct Constants {
    int count = 0;
    std::int64_t elements = 0;
  };
  bool any_live(PyObject *value, Constants &constants, int depth = 0);
  bool is_live(PyObject *tensor) const;
  bool is_made(PyObject *tensor) const;
  bool is_on_meta(PyObject *tensor);
  PyObject *answer_at_once(const Answer &answer, PyObject *args, PyObject *keywords);
  PyObject *resized(bool copies, PyObject *args, PyObject *keywords);
  PyObject *view(PyObject *func, PyObject *args, PyObject *keywords);
  bool look_at_floats(PyObject *tensor, Value &value);
  PyObject *native(const Native &function, PyObject *args, PyObject *keywords);
  PyObject *linear(const Native &function, PyObject *args, PyObject *keywords);
  PyObject *matmul(const Native &function, PyObject *args, PyObject *keywords);
  PyObject *binary(const Native &function, PyObject *args, PyObject *keywords);
  PyObject *unary(const Native &function, PyObject *args, PyObject *keywords);
  PyObject *dropout(PyObject *args, PyObject *keywords);
  PyObject *set_item(const Native &function, PyObject *args);
  void describe(Layer &layer, const Value *operands, std::size_t n_operands, const Form *out,
                int channel_axis, bool batched);
  std::int32_t record(const Native &function, Layer &layer, const Value *operands,
                      std::size_t n_operands, const Form *out);
  PyObject *record_new(const Native &function, Layer &layer, const Value *operands,
                       std::size_t n_operands, const Form *out);
  PyObject *record_into(const Native &function, Layer &layer, const Value *operands,
                        std::size_t n_operands);
  std::int32_t record(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                      const Recording::Slot *inputs, std::size_t n_inputs, std::size_t n_carriers);
  std::int64_t elements_of(PyObject *parameter);
  void count_params();
  std::vector<Layer> layers_with_params(std::vector<std::int32_t> *extra_nodes);

  struct FormHash {
    std::size_t operator()(const Form &key) const;
  };
  /// Of a tensor that was seen: its memory, and what it is; without a form torch must be asked.
  struct Seen {
    Recording::Slot slot;
    const Form *form;
    bool made;            ///< by this tracer: contiguous, and on meta
    bool on_meta = false; ///< known to be
  };

  friend class FunctionModesOff;
  Ref driver_; ///< the Python half
  Ref modes_off_, modes_on_;
  int modes_off_depth_ = 0;
  bool real_;
  bool global_hooks_ = false; ///< torch calls hooks for every module
  unsigned long thread_ = 0;
  long n_function_modes_ = 0; ///< with this tracer's on top
  std::vector<Node> nodes_;
  std::unordered_map<PyObject *, std::int32_t> index_of_;
  std::unordered_map<PyTypeObject *, ModuleClass> classes_;
  std::unordered_set<PyObject *> marked_; ///< modules that an adapter of their parent is about
  std::unordered_map<PyObject *, Dtype> dtypes_;
  std::unordered_set<Form, FormHash> forms_;
  std::unordered_map<PyObject *, Seen> seen_;
  std::vector<PyObject *> kept_; ///< tensors whose address is in seen_; owned
  std::vector<Frame> frames_;
  std::vector<PyObject *> ops_; ///< name of each record's op; owned
  std::vector<std::int32_t> record_nodes_;
  Recording recording_;
  std::size_t n_products_ = 0;
  std::unordered_map<PyObject *, std::int64_t> elements_; ///< of parameters, during the walk
  Ref failure_, failed_error_;
};

void register_tracer(py::module_ &module);
/// The functions of the module that rules call; they record in the active tracer.
void register_functions(py::module_ &module);
/// The entries that torch's functions have while a model is traced.
void register_direct(py::module_ &module);
/// The tracer that is active in this thread; RuntimeError if there is none.
Tracer &active_tracer();
/// Sets one field of a record by its name; TypeError or ValueError if it cannot.
void set_field(Layer &layer, PyObject *name, PyObject *value);

} // namespace bopscount::bindings
