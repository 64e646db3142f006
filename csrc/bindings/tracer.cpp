#include "tracer.hpp"

#include <pybind11/numpy.h>

#include <algorithm>

#include "../count.hpp"
#include "bindings.hpp"

namespace bopscount::bindings {
namespace {

/// The tracer that is active, in whichever thread; guarded by the GIL.
Tracer *active = nullptr;

/// Turns TorchFunctionModes off while it lives, so that reading a tensor is cheap.
class FunctionModesOff {
public:
  explicit FunctionModesOff(PyObject *disable) : guard_(PyObject_CallNoArgs(disable)) {
    if (guard_) Ref(PyObject_CallMethodNoArgs(guard_.get(), names().enter));
  }
  ~FunctionModesOff() {
    // An error may be on its way out; it must survive the call.
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (guard_)
      Ref(PyObject_CallMethodObjArgs(guard_.get(), names().exit, Py_None, Py_None, Py_None,
                                     nullptr));
    PyErr_Restore(type, value, traceback);
  }
  FunctionModesOff(const FunctionModesOff &) = delete;
  FunctionModesOff &operator=(const FunctionModesOff &) = delete;

private:
  Ref guard_;
};

/// Throws what Python raised.
[[noreturn]] void rethrow() { throw py::error_already_set(); }

Ref checked(PyObject *owned) {
  if (owned == nullptr) rethrow();
  return Ref(owned);
}

bool is_filled_dict(PyObject *value) {
  return value != nullptr && PyDict_Check(value) && PyDict_GET_SIZE(value) > 0;
}

Ref attribute(const char *module, const char *name) {
  return Ref(py::object(py::module_::import(module).attr(name)).release().ptr());
}

} // namespace

Tracer::Tracer(py::object classify, py::object rewrite, bool real)
    : classify_(classify.release().ptr()), rewrite_(rewrite.release().ptr()),
      empty_(attribute("torch", "empty")), disable_(attribute("torch._C", "DisableTorchFunction")),
      peek_transform_(attribute("torch._C._functorch", "peek_interpreter_stack")), real_(real) {
  const py::module_ torch = py::module_::import("torch");
  meta_ = Ref(torch.attr("device")("meta").release().ptr());
  module_call_ = Ref(py::object(torch.attr("nn").attr("Module").attr("__call__")).release().ptr());
  empty_keywords_ = Ref(py::make_tuple("dtype", "device").release().ptr());
}

Tracer::~Tracer() {
  release();
  for (PyObject *op : ops_) Py_DECREF(op);
  for (Node &node : nodes_) Py_DECREF(node.module);
}

void Tracer::release() {
  for (PyObject *tensor : kept_) Py_DECREF(tensor);
  for (auto &[key, tensor] : templates_) Py_DECREF(tensor);
  kept_.clear();
  templates_.clear();
  slots_.clear();
  for (Node &node : nodes_) node.python_rule = nullptr;
  classes_.clear();
  classify_ = Ref();
  rewrite_ = Ref();
  failed_error_ = Ref();
}

std::size_t Tracer::TemplateHash::operator()(const Template &key) const {
  std::size_t hash = reinterpret_cast<std::size_t>(key.dtype);
  for (const std::int64_t size : key.dims)
    hash = (hash ^ static_cast<std::size_t>(size)) * 0x9E3779B97F4A7C15ULL;
  return hash;
}

// --- the module tree -------------------------------------------------------

const ModuleClass *Tracer::class_of(PyTypeObject *type) {
  const auto found = classes_.find(type);
  if (found != classes_.end()) return &found->second;
  const Ref answer =
      checked(PyObject_CallOneArg(classify_.get(), reinterpret_cast<PyObject *>(type)));
  const auto fields = py::reinterpret_borrow<py::tuple>(answer.get());
  ModuleClass about;
  about.leaf = fields[0].cast<bool>();
  about.registered = fields[2].cast<bool>();
  if (py::isinstance<py::str>(fields[1])) {
    const auto name = fields[1].cast<std::string>();
    for (const LeafRule &rule : leaf_rules())
      if (rule.name == name) about.rule = &rule;
    if (about.rule == nullptr) throw py::value_error("no leaf rule is called '" + name + "'");
  } else if (!fields[1].is_none()) {
    about.python_rule = Ref(py::object(fields[1]).release().ptr());
  }
  return &classes_.emplace(type, std::move(about)).first->second;
}

void Tracer::walk(const py::object &model) {
  struct Visit {
    PyObject *name, *module;
    std::int32_t parent;
  };
  global_hooks_ = py::bool_(
      py::object(py::module_::import("torch.nn.modules.module").attr("_has_any_global_hook")()));
  std::vector<Visit> stack{{nullptr, model.ptr(), -1}};
  std::vector<std::pair<std::int32_t, std::int32_t>> shared;
  std::vector<Visit> children;
  while (!stack.empty()) {
    const Visit visit = stack.back();
    stack.pop_back();
    const auto index = static_cast<std::int32_t>(nodes_.size());
    const auto [known, is_new] = index_of_.emplace(visit.module, index);
    if (!is_new) {
      shared.emplace_back(visit.parent, known->second);
      continue;
    }
    Node &node = nodes_.emplace_back();
    Py_INCREF(visit.module);
    node.module = visit.module;
    node.name = visit.name;
    node.parent = visit.parent;
    const Ref dict = checked(PyObject_GenericGetDict(visit.module, nullptr));
    node.dict = dict.get(); // the module owns it too
    PyObject *modules = item(node.dict, names().modules);
    children.clear();
    if (modules != nullptr && PyDict_Check(modules)) {
      PyObject *key, *child;
      Py_ssize_t position = 0;
      while (PyDict_Next(modules, &position, &key, &child))
        if (child != Py_None) children.push_back({key, child, index});
    }
    const ModuleClass &about = *class_of(Py_TYPE(visit.module));
    node.leaf = about.leaf || children.empty();
    describe(node, about);
    if (!node.leaf) stack.insert(stack.end(), children.rbegin(), children.rend());
  }
  set_heights(shared);
}

void Tracer::describe(Node &node, const ModuleClass &about) {
  const Names &n = names();
  node.registered = about.registered;
  node.python_rule = about.python_rule.get();
  node.hooked = global_hooks_;
  for (PyObject *hooks :
       {n.forward_hooks, n.forward_pre_hooks, n.backward_hooks, n.backward_pre_hooks})
    node.hooked = node.hooked || is_filled_dict(item(node.dict, hooks));
  // An own forward on the instance is the user's; no rule speaks for it.
  if (!about.registered && item(node.dict, n.forward) == nullptr) node.rule = about.rule;
  node.view.dict = node.dict;
  PyObject *parameters = item(node.dict, n.parameters);
  if (node.rule == nullptr || parameters == nullptr || !PyDict_Check(parameters)) return;
  const auto elements = [&](PyObject *name) -> std::int64_t {
    PyObject *parameter = item(parameters, name);
    if (parameter == nullptr || parameter == Py_None) return 0;
    const Ref count = checked(PyObject_CallMethodNoArgs(parameter, n.numel));
    const Ref dtype = checked(PyObject_GetAttr(parameter, n.dtype));
    std::int64_t value = 0;
    to_int(count.get(), value);
    node.view.weight_dtype = dtype.get();
    node.view.weight_item_bytes = dtype_of(dtype.get()).item_bytes;
    return value;
  };
  node.view.bias_elements = elements(n.bias);
  node.view.weight_elements = elements(n.weight);
  node.view.weight = item(parameters, n.weight);
  node.view.bias = item(parameters, n.bias);
}

/// Bottom up; a child shared by several parents raises them all, a cycle none.
void Tracer::set_heights(const std::vector<std::pair<std::int32_t, std::int32_t>> &shared) {
  const auto raise = [&](std::int32_t index, std::int32_t height) {
    while (index >= 0 && nodes_[static_cast<std::size_t>(index)].height < height) {
      nodes_[static_cast<std::size_t>(index)].height = height++;
      index = nodes_[static_cast<std::size_t>(index)].parent;
    }
  };
  for (std::size_t i = nodes_.size(); i-- > 0;)
    if (nodes_[i].parent >= 0) {
      Node &parent = nodes_[static_cast<std::size_t>(nodes_[i].parent)];
      parent.height = std::max(parent.height, nodes_[i].height + 1);
    }
  for (const auto &[parent, child] : shared) {
    std::int32_t above = parent;
    while (above >= 0 && above != child) above = nodes_[static_cast<std::size_t>(above)].parent;
    if (above < 0 && parent >= 0) raise(parent, nodes_[static_cast<std::size_t>(child)].height + 1);
  }
}

py::list Tracer::classes() const {
  py::list classes;
  for (const auto &[type, about] : classes_)
    classes.append(py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject *>(type)));
  return classes;
}

std::string Tracer::path(std::int32_t node) const {
  std::string path;
  while (node > 0) {
    const Node &at = nodes_[static_cast<std::size_t>(node)];
    const auto name = py::reinterpret_borrow<py::object>(at.name).cast<std::string>();
    path = path.empty() ? name : name + "." + path;
    node = at.parent;
  }
  return path;
}

// --- tensors and records ---------------------------------------------------

const Tracer::Dtype &Tracer::dtype_of(PyObject *dtype) {
  const auto found = dtypes_.find(dtype);
  if (found != dtypes_.end()) return found->second;
  const Ref size = checked(PyObject_GetAttr(dtype, names().itemsize));
  const Ref floating = checked(PyObject_GetAttr(dtype, names().is_floating_point));
  std::int64_t bytes = 0;
  to_int(size.get(), bytes);
  const auto name = py::str(py::handle(dtype)).cast<std::string>();
  const bool index = name == "torch.int64" || name == "torch.int32";
  const Dtype about{static_cast<std::uint8_t>(bytes), floating.get() == Py_True, index};
  return dtypes_.emplace(dtype, about).first->second;
}

void Tracer::own(PyObject *tensor, Recording::Slot slot) {
  const auto [entry, is_new] = slots_.insert_or_assign(tensor, slot);
  if (is_new) {
    Py_INCREF(tensor);
    kept_.push_back(tensor);
  }
}

Recording::Slot Tracer::slot_of(PyObject *tensor) {
  const auto found = slots_.find(tensor);
  return found == slots_.end() ? Recording::no_slot : found->second;
}

/// A meta tensor; a detached copy of a template is six times cheaper than an empty one.
Ref Tracer::make_tensor(const Dims &dims, PyObject *dtype) {
  const auto found = templates_.find({dims, dtype});
  if (found != templates_.end())
    return checked(PyObject_CallMethodNoArgs(found->second, names().detach));
  const Ref shape = to_tuple(dims);
  PyObject *arguments[] = {shape.get(), dtype, meta_.get()};
  Ref tensor = checked(PyObject_Vectorcall(empty_.get(), arguments, 1, empty_keywords_.get()));
  PyObject *copy = PyObject_CallMethodNoArgs(tensor.get(), names().detach);
  templates_.emplace(Template{dims, dtype}, tensor.release());
  return checked(copy);
}

std::int32_t Tracer::record(const Layer &layer, PyObject *op, const Dims &in, const Dims &out,
                            const Recording::Slot *inputs, std::size_t n_inputs) {
  const std::int32_t at = node();
  Layer owned = layer;
  if (!nodes_[static_cast<std::size_t>(at)].leaf) owned.flags |= flag_functional;
  Py_INCREF(op);
  ops_.push_back(op);
  record_nodes_.push_back(at);
  return recording_.add(owned, in, out, inputs, n_inputs);
}

py::object Tracer::emit(int kind, py::str op, py::sequence operands, py::object shape,
                        py::object dtype, int channel_axis, bool batched, py::object fields,
                        py::object into) {
  Layer layer;
  layer.kind = static_cast<std::uint16_t>(kind);
  std::vector<Recording::Slot> slots;
  Dims in, out;
  PyObject *first_dtype = nullptr;
  std::int64_t extra = 0;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const py::object operand = operands[i];
    const Ref size = checked(PyObject_GetAttr(operand.ptr(), names().shape));
    Dims dims;
    if (!to_dims(size.get(), dims))
      throw py::value_error("tensors of more than 12 dimensions are not traced");
    slots.push_back(slot_of(operand.ptr()));
    if (i == 0) {
      in = dims;
      const Ref type = checked(PyObject_GetAttr(operand.ptr(), names().dtype));
      first_dtype = type.get(); // torch keeps its dtypes
    } else {
      extra += dims.elements();
    }
  }
  const bool makes = !shape.is_none() || !into.is_none();
  out = in;
  if (!shape.is_none() && !to_dims(shape.ptr(), out))
    throw py::value_error("shape must be a tuple of up to 12 sizes");
  PyObject *out_dtype = dtype.is_none() ? first_dtype : dtype.ptr();
  if (operands.size() == 0) {
    in = out;
    first_dtype = out_dtype;
  }
  set_sizes(layer, in, out, channel_axis, batched && in.rank > 0);
  layer.extra_elements = extra;
  const Dtype &in_type = dtype_of(first_dtype), &out_type = dtype_of(out_dtype);
  layer.input_item_bytes = in_type.item_bytes;
  layer.output_item_bytes = out_type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * in_type.item_bytes);
  layer.output_bits = static_cast<std::uint8_t>(8 * out_type.item_bytes);
  if (!fields.is_none()) {
    for (const auto &[name, value] : fields.cast<py::dict>())
      set_field(layer, name.cast<std::string>(), value.ptr());
  }
  const std::int32_t index = record(layer, op.ptr(), in, out, slots.data(), slots.size());
  if (!makes) return py::none();
  if (!into.is_none()) {
    const Recording::Slot slot = slot_of(into.ptr());
    if (slot == Recording::no_slot)
      own(into.ptr(), recording_.new_slot(index));
    else
      recording_.write(slot, index);
    return into;
  }
  Ref tensor = make_tensor(out, out_dtype);
  own(tensor.get(), recording_.new_slot(index));
  return py::reinterpret_steal<py::object>(tensor.release());
}

py::object Tracer::another(py::object shape, py::object dtype) {
  Dims dims;
  if (!to_dims(shape.ptr(), dims)) throw py::value_error("shape must be a tuple of up to 12 sizes");
  Ref tensor = make_tensor(dims, dtype.ptr());
  own(tensor.get(), recording_.new_slot(static_cast<std::int32_t>(recording_.size()) - 1));
  return py::reinterpret_steal<py::object>(tensor.release());
}

void Tracer::alias(const py::object &tensor, const py::object &base) {
  if (tensor.is(base)) return;
  const Recording::Slot slot = slot_of(base.ptr());
  if (slot != Recording::no_slot) own(tensor.ptr(), slot);
}

std::int32_t Tracer::producer_of(const py::object &tensor) const {
  const auto found = slots_.find(tensor.ptr());
  return found == slots_.end() ? -1 : recording_.producer(found->second);
}

std::size_t Tracer::rewrite(std::size_t mark, const py::dict &fields) {
  std::vector<bool> keep;
  std::size_t n_kept = 0;
  for (std::size_t i = mark; i < recording_.size(); ++i) {
    Layer &layer = recording_.layers()[i];
    const bool product = op_table()[layer.kind].mac_form != MacForm::none;
    keep.push_back(product);
    if (!product) continue;
    for (const auto &[name, value] : fields)
      set_field(layer, name.cast<std::string>(), value.ptr());
    std::swap(ops_[mark + n_kept], ops_[i]);
    record_nodes_[mark + n_kept] = record_nodes_[i];
    ++n_kept;
  }
  recording_.keep_only(mark, keep);
  for (std::size_t i = mark + n_kept; i < ops_.size(); ++i) Py_DECREF(ops_[i]);
  ops_.resize(mark + n_kept);
  record_nodes_.resize(mark + n_kept);
  return n_kept;
}

// --- calls -----------------------------------------------------------------

bool Tracer::is_mine() const { return thread_ == PyThread_get_thread_ident(); }

void Tracer::activate() {
  thread_ = PyThread_get_thread_ident();
  previous_ = active;
  active = this;
}

void Tracer::deactivate() { active = previous_; }

PyObject *Tracer::call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                       PyObject *keywords) {
  const auto found = index_of_.find(module);
  if (found == index_of_.end()) {
    // Made during forward, not part of the model: what it runs is its caller's.
    std::vector<PyObject *> all{module};
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    all.insert(all.end(), args, args + n_args + n_keywords);
    return PyObject_Vectorcall(module_call_.get(), all.data(), static_cast<std::size_t>(n_args + 1),
                               keywords);
  }
  Node &node = nodes_[static_cast<std::size_t>(found->second)];
  ++node.calls;
  if (node.rule != nullptr && !node.hooked && n_args == 1 && keywords == nullptr) {
    PyObject *output = call_leaf(node, found->second, args[0]);
    if (output != nullptr || PyErr_Occurred()) return output;
  }
  return enter(node, found->second, args, n_args, keywords);
}

/// What a leaf rule says of `input`; false, with no error set, where it is not certain.
bool Tracer::ask(const LeafRule &rule, const LeafModule &view, PyObject *input, Dims &in,
                 Ref &out_dtype, LeafAnswer &answer) {
  const Ref size(PyObject_GetAttr(input, names().shape));
  Ref dtype(size ? PyObject_GetAttr(input, names().dtype) : nullptr);
  if (!dtype || !to_dims(size.get(), in)) {
    PyErr_Clear(); // no tensor, or of symbolic sizes
    return false;
  }
  const Dtype type = dtype_of(dtype.get());
  Layer &layer = answer.layer;
  layer.kind = static_cast<std::uint16_t>(rule.kind);
  const bool floats = rule.takes == Takes::floats;
  if ((floats && !type.floating) || (rule.takes == Takes::indices && !type.index) ||
      !rule.answer(rule, view, in, answer))
    return false;
  if (floats && view.weight_elements && view.weight_dtype != dtype.get())
    return false; // torch says what does not match, or casts
  if (answer.output == Output::of_weight) {
    Py_INCREF(view.weight_dtype);
    out_dtype = Ref(view.weight_dtype);
  } else {
    out_dtype = std::move(dtype);
  }
  layer.input_item_bytes = type.item_bytes;
  layer.input_bits = static_cast<std::uint8_t>(8 * type.item_bytes);
  layer.output_item_bytes = dtype_of(out_dtype.get()).item_bytes;
  layer.output_bits = static_cast<std::uint8_t>(8 * layer.output_item_bytes);
  return true;
}

/// The output tensor that an answer stands for; owned.
PyObject *Tracer::output_of(const LeafAnswer &answer, PyObject *input, PyObject *out_dtype,
                            std::int32_t record) {
  const Recording::Slot slot = slot_of(input);
  if (answer.output == Output::same) {
    if (slot != Recording::no_slot)
      recording_.write(slot, record);
    else
      own(input, recording_.new_slot(record));
    Py_INCREF(input);
    return input;
  }
  Ref output = make_tensor(answer.out, out_dtype);
  const bool keeps = answer.output == Output::view && slot != Recording::no_slot;
  own(output.get(), keeps ? slot : recording_.new_slot(record));
  return output.release();
}

/// The leaf's output by its rule; null without an error where the rule is not certain.
PyObject *Tracer::call_leaf(Node &node, std::int32_t index, PyObject *input) {
  const FunctionModesOff off(disable_.get());
  // Parameters that were swapped since the walk (functional_call), or a transform such as
  // vmap around the call: torch knows better.
  PyObject *parameters = item(node.dict, names().parameters);
  if (parameters != nullptr && (item(parameters, names().weight) != node.view.weight ||
                                item(parameters, names().bias) != node.view.bias))
    return nullptr;
  const Ref transform(PyObject_CallNoArgs(peek_transform_.get()));
  if (transform.get() != Py_None) return nullptr;
  LeafAnswer answer;
  Dims in;
  Ref out_dtype;
  if (!ask(*node.rule, node.view, input, in, out_dtype, answer)) return nullptr;

  const Recording::Slot slot = slot_of(input);
  frames_.push_back({index, recording_.size()});
  const Ref class_name(
      PyObject_GetAttrString(reinterpret_cast<PyObject *>(Py_TYPE(node.module)), "__name__"));
  const std::int32_t at = record(answer.layer, class_name.get(), in, answer.out, &slot, 1);
  frames_.pop_back();
  if (!real_) return output_of(answer, input, out_dtype.get(), at);

  // For real: the function modes are off, so nothing is recorded twice.
  PyObject *output = call_forward(node, &input, 1, nullptr);
  if (output == nullptr) {
    note_failure(index, &input, 1, nullptr);
    return nullptr;
  }
  const bool keeps = answer.output == Output::view && slot != Recording::no_slot;
  if (output == input && slot != Recording::no_slot)
    recording_.write(slot, at);
  else
    own(output, keeps ? slot : recording_.new_slot(at));
  return output;
}

py::object Tracer::answer(std::size_t rule, const py::str &op, const py::object &input,
                          const py::dict &attributes, const py::object &weight,
                          const py::object &bias) {
  LeafModule view;
  view.dict = attributes.ptr();
  const auto elements = [&](const py::object &parameter) -> std::int64_t {
    if (parameter.is_none()) return 0;
    const Ref dtype = checked(PyObject_GetAttr(parameter.ptr(), names().dtype));
    view.weight_dtype = dtype.get(); // torch keeps its dtypes
    view.weight_item_bytes = dtype_of(dtype.get()).item_bytes;
    return parameter.attr("numel")().cast<std::int64_t>();
  };
  view.bias_elements = elements(bias);
  view.weight_elements = elements(weight);
  LeafAnswer answer;
  Dims in;
  Ref out_dtype;
  if (!ask(leaf_rules()[rule], view, input.ptr(), in, out_dtype, answer)) return py::none();
  const Recording::Slot slot = slot_of(input.ptr());
  const std::int32_t at = record(answer.layer, op.ptr(), in, answer.out, &slot, 1);
  return py::reinterpret_steal<py::object>(output_of(answer, input.ptr(), out_dtype.get(), at));
}

PyObject *Tracer::call_forward(Node &node, PyObject *const *args, Py_ssize_t n_args,
                               PyObject *keywords) {
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  std::vector<PyObject *> all{node.module};
  all.insert(all.end(), args, args + n_args + n_keywords);
  const auto n_all = static_cast<std::size_t>(n_args + 1);
  // Hooks are torch's business; without any, its detour through them is saved.
  if (node.hooked) return PyObject_Vectorcall(module_call_.get(), all.data(), n_all, keywords);
  return PyObject_VectorcallMethod(names().forward, all.data(), n_all, keywords);
}

PyObject *Tracer::enter(Node &node, std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                        PyObject *keywords) {
  const std::size_t mark = recording_.size();
  frames_.push_back({index, mark});
  const std::size_t depth = frames_.size();
  PyObject *output = nullptr;
  if (node.python_rule != nullptr && !node.hooked) {
    const Ref given(PyTuple_New(n_args));
    for (Py_ssize_t i = 0; i < n_args; ++i) {
      Py_INCREF(args[i]);
      PyTuple_SET_ITEM(given.get(), i, args[i]);
    }
    const Ref named(PyDict_New());
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < n_keywords; ++i)
      PyDict_SetItem(named.get(), PyTuple_GET_ITEM(keywords, i), args[n_args + i]);
    const FunctionModesOff off(disable_.get());
    output = PyObject_CallFunctionObjArgs(node.python_rule, node.module, given.get(), named.get(),
                                          nullptr);
    if (output == Py_NotImplemented) {
      Py_DECREF(output);
      output = nullptr;
    }
  }
  if (output == nullptr && !PyErr_Occurred()) output = call_forward(node, args, n_args, keywords);
  if (output != nullptr && nodes_[static_cast<std::size_t>(index)].leaf &&
      !after_registered(index, mark, args, n_args, keywords, output)) {
    Py_DECREF(output);
    output = nullptr;
  }
  if (output == nullptr) note_failure(index, args, n_args, keywords);
  // What a forward raised and caught left frames above this one.
  frames_.resize(depth - 1);
  return output;
}

/// Lets Python look at a leaf's records: a registered class, or one without any.
bool Tracer::after_registered(std::int32_t index, std::size_t mark, PyObject *const *args,
                              Py_ssize_t n_args, PyObject *keywords, PyObject *output) {
  const Node &node = nodes_[static_cast<std::size_t>(index)];
  if (!node.registered && recording_.size() != mark) return true;
  const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  const Ref given(PyTuple_New(n_args + n_keywords));
  for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
    Py_INCREF(args[i]);
    PyTuple_SET_ITEM(given.get(), i, args[i]);
  }
  const FunctionModesOff off(disable_.get());
  const Ref number(PyLong_FromSize_t(mark));
  const Ref result(PyObject_CallFunctionObjArgs(rewrite_.get(), node.module, number.get(),
                                                given.get(), output, nullptr));
  return static_cast<bool>(result);
}

/// Keeps which module raised first: errors pass through all modules above it.
void Tracer::note_failure(std::int32_t index, PyObject *const *args, Py_ssize_t n_args,
                          PyObject *keywords) {
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value != failed_error_.get()) {
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    const FunctionModesOff off(disable_.get());
    py::list shapes;
    for (Py_ssize_t i = 0; i < n_args + n_keywords; ++i) {
      const Ref shape(PyObject_GetAttr(args[i], names().shape));
      if (shape && PyTuple_Check(shape.get()))
        shapes.append(py::reinterpret_borrow<py::object>(shape.get()));
      PyErr_Clear();
    }
    failure_ = Ref(py::make_tuple(index, shapes).release().ptr());
    Py_XINCREF(value);
    failed_error_ = Ref(value);
  }
  PyErr_Restore(type, value, traceback);
}

py::object Tracer::failure() const {
  return failure_ ? py::reinterpret_borrow<py::object>(failure_.get()) : py::none();
}

// --- results ---------------------------------------------------------------

void Tracer::count_params() {
  if (params_counted_) return;
  params_counted_ = true;
  std::unordered_map<PyObject *, bool> seen;
  const auto add_parameter = [&](Node &node, PyObject *parameter) {
    if (!seen.emplace(parameter, true).second) return;
    const Ref count = checked(PyObject_CallMethodNoArgs(parameter, names().numel));
    std::int64_t elements = 0;
    to_int(count.get(), elements);
    node.params += elements;
  };
  const auto add = [&](Node &node, PyObject *module_dict) {
    PyObject *parameters = item(module_dict, names().parameters);
    if (parameters == nullptr || !PyDict_Check(parameters)) return;
    PyObject *key, *parameter;
    Py_ssize_t position = 0;
    while (PyDict_Next(parameters, &position, &key, &parameter))
      if (parameter != Py_None) add_parameter(node, parameter);
  };
  for (Node &node : nodes_) {
    PyObject *own = item(node.dict, names().parameters);
    if (own == nullptr || !PyDict_Check(own)) {
      // TorchScript keeps its parameters elsewhere.
      const auto module = py::reinterpret_borrow<py::object>(node.module);
      if (py::hasattr(module, "parameters"))
        for (const py::handle parameter : py::list(module.attr("parameters")()))
          add_parameter(node, parameter.ptr());
      continue;
    }
    add(node, node.dict);
    if (!node.leaf) continue;
    // What a leaf contains is not listed; its parameters are the leaf's.
    std::vector<PyObject *> inside{node.module};
    std::unordered_map<PyObject *, bool> visited{{node.module, true}};
    while (!inside.empty()) {
      PyObject *module = inside.back();
      inside.pop_back();
      const Ref dict = checked(PyObject_GenericGetDict(module, nullptr));
      if (module != node.module) add(node, dict.get());
      PyObject *modules = item(dict.get(), names().modules);
      PyObject *key, *child;
      Py_ssize_t position = 0;
      if (modules == nullptr || !PyDict_Check(modules)) continue;
      while (PyDict_Next(modules, &position, &key, &child))
        if (child != Py_None && visited.emplace(child, true).second) inside.push_back(child);
    }
  }
}

/// The records, with each node's parameters on the first of its own, and records for
/// modules that have none: never called, or inner ones with parameters.
std::vector<Layer> Tracer::layers_with_params(std::vector<std::int32_t> *extra_nodes) {
  count_params();
  std::vector<Layer> layers = recording_.layers();
  std::vector<bool> has_record(nodes_.size(), false);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto at = static_cast<std::size_t>(record_nodes_[i]);
    if (!nodes_[at].leaf || has_record[at]) continue;
    has_record[at] = true;
    layers[i].params = layers[i].logical_params = nodes_[at].params;
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    if (has_record[i] || (!node.leaf && node.params == 0)) continue;
    Layer layer;
    layer.kind = static_cast<std::uint16_t>(node.leaf ? Kind::uncalled : Kind::parameters);
    layer.calls = 0;
    layer.params = layer.logical_params = node.params;
    layers.push_back(layer);
    if (extra_nodes != nullptr) extra_nodes->push_back(static_cast<std::int32_t>(i));
  }
  return layers;
}

py::tuple Tracer::totals(const std::string &rules) {
  const std::vector<Layer> layers = layers_with_params(nullptr);
  const CostSums sums = count_totals(layers, rules_of(rules));
  py::tuple values(metric_count);
  for (std::size_t metric = 0; metric < metric_count; ++metric)
    values[metric] = to_python(sums[metric]);
  return values;
}

py::dict Tracer::finish() {
  std::vector<std::int32_t> record_nodes = record_nodes_;
  const std::vector<Layer> layers = layers_with_params(&record_nodes);
  py::array_t<Layer> records(static_cast<py::ssize_t>(layers.size()));
  std::copy(layers.begin(), layers.end(), records.mutable_data());

  py::list inputs, outputs, ops;
  const Dims no_shape = [] {
    Dims dims;
    for (int i = 0; i < 4; ++i) dims.push(0);
    return dims;
  }();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool ran = i < recording_.size();
    inputs.append(py::reinterpret_steal<py::object>(
        to_tuple(ran ? recording_.input_dims(i) : no_shape).release()));
    outputs.append(py::reinterpret_steal<py::object>(
        to_tuple(ran ? recording_.output_dims(i) : no_shape).release()));
    if (ran)
      ops.append(py::reinterpret_borrow<py::object>(ops_[i]));
    else
      ops.append(py::str(op_table()[layers[i].kind].name));
  }
  py::list nodes;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node &node = nodes_[i];
    nodes.append(py::make_tuple(
        node.name == nullptr ? py::object(py::str(""))
                             : py::reinterpret_borrow<py::object>(node.name),
        py::str(Py_TYPE(node.module)->tp_name), node.parent, node.height, node.leaf, node.calls));
  }
  const auto &starts = recording_.producer_starts();
  std::vector<std::int64_t> all_starts(starts);
  all_starts.resize(layers.size() + 1, starts.back());
  py::dict data;
  data["records"] = records;
  data["record_nodes"] =
      py::array_t<std::int32_t>(static_cast<py::ssize_t>(record_nodes.size()), record_nodes.data());
  data["producers"] = py::array_t<std::int32_t>(
      static_cast<py::ssize_t>(recording_.producers().size()), recording_.producers().data());
  data["producer_starts"] =
      py::array_t<std::int64_t>(static_cast<py::ssize_t>(all_starts.size()), all_starts.data());
  data["input_shapes"] = inputs;
  data["output_shapes"] = outputs;
  data["ops"] = ops;
  data["nodes"] = nodes;
  return data;
}

// --- registration ----------------------------------------------------------

namespace {

/// What a module class's __call__ is while a tracer is active.
PyObject *traced_call(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                      PyObject *keywords) {
  try {
    if (active != nullptr && active->is_mine()) return active->call(module, args, n_args, keywords);
    // Another thread's business: as if nothing were here.
    static PyObject *const module_call =
        py::object(py::module_::import("torch.nn").attr("Module").attr("__call__")).release().ptr();
    std::vector<PyObject *> all{module};
    const Py_ssize_t n_keywords = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
    all.insert(all.end(), args, args + n_args + n_keywords);
    return PyObject_Vectorcall(module_call, all.data(), static_cast<std::size_t>(n_args + 1),
                               keywords);
  } catch (py::error_already_set &error) {
    error.restore();
  } catch (const py::builtin_exception &error) {
    error.set_error();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyMethodDef traced_call_method = {
    "__call__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&traced_call)),
    METH_FASTCALL | METH_KEYWORDS, "Answers or enters a module for the active tracer."};

/// traced_call as a method of torch.nn.Module, ready to be set on a subclass.
py::object make_traced_call() {
  const py::object module_type = py::module_::import("torch.nn").attr("Module");
  return py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject *>(module_type.ptr()), &traced_call_method));
}

template <class Value> void set_integer(Value &field, const std::string &name, PyObject *value) {
  std::int64_t wide = 0;
  const Ref index(PyNumber_Index(value));
  if (!index) rethrow();
  if (!to_int(index.get(), wide) || static_cast<std::int64_t>(static_cast<Value>(wide)) != wide)
    throw py::value_error(name + " does not fit: " + py::cast<std::string>(py::repr(value)));
  field = static_cast<Value>(wide);
}

void set_source(BitSource &field, const std::string &name, PyObject *value) {
  std::uint8_t number = 0;
  set_integer(number, name, value);
  field = static_cast<BitSource>(number);
}

void set_triple(std::int32_t (&field)[3], const std::string &name, PyObject *value) {
  const auto values = py::reinterpret_borrow<py::sequence>(value);
  if (!PySequence_Check(value) || values.size() > 3)
    throw py::value_error(name + " must have up to three sizes");
  for (std::size_t i = 0; i < values.size(); ++i)
    set_integer(field[i], name, py::object(values[i]).ptr());
}

} // namespace

void set_field(Layer &layer, const std::string &name, PyObject *value) {
  using Setter = void (*)(Layer &, const std::string &, PyObject *);
#define BOPSCOUNT_FIELD(field)                                                                     \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_integer(l.field, n, v); }        \
  }
#define BOPSCOUNT_TRIPLE(field)                                                                    \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_triple(l.field, n, v); }         \
  }
#define BOPSCOUNT_SOURCE(field)                                                                    \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_source(l.field, n, v); }         \
  }
  static const std::unordered_map<std::string, Setter> setters = {
      BOPSCOUNT_FIELD(calls),
      BOPSCOUNT_FIELD(batch),
      BOPSCOUNT_FIELD(in_channels),
      BOPSCOUNT_FIELD(in_positions),
      BOPSCOUNT_FIELD(out_channels),
      BOPSCOUNT_FIELD(out_positions),
      BOPSCOUNT_FIELD(groups),
      BOPSCOUNT_FIELD(weight_elements),
      BOPSCOUNT_FIELD(bias_elements),
      BOPSCOUNT_FIELD(extra_elements),
      BOPSCOUNT_FIELD(nonzero_weights),
      BOPSCOUNT_TRIPLE(kernel),
      BOPSCOUNT_TRIPLE(stride),
      BOPSCOUNT_TRIPLE(padding),
      BOPSCOUNT_TRIPLE(dilation),
      BOPSCOUNT_TRIPLE(output_padding),
      BOPSCOUNT_FIELD(kind),
      BOPSCOUNT_FIELD(flags),
      BOPSCOUNT_FIELD(input_bits),
      BOPSCOUNT_FIELD(weight_bits),
      BOPSCOUNT_FIELD(output_bits),
      BOPSCOUNT_SOURCE(input_bits_source),
      BOPSCOUNT_SOURCE(weight_bits_source),
      BOPSCOUNT_SOURCE(output_bits_source),
      BOPSCOUNT_FIELD(input_item_bytes),
      BOPSCOUNT_FIELD(output_item_bytes),
      BOPSCOUNT_FIELD(weight_item_bytes),
  };
#undef BOPSCOUNT_FIELD
#undef BOPSCOUNT_TRIPLE
#undef BOPSCOUNT_SOURCE
  const auto found = setters.find(name);
  if (found == setters.end()) throw py::value_error("a record has no field '" + name + "'");
  found->second(layer, name, value);
}

void register_tracer(py::module_ &module) {
  py::list leaf_names;
  for (const LeafRule &rule : leaf_rules()) leaf_names.append(py::str(rule.name));
  module.attr("LEAF_RULES") = py::tuple(leaf_names);
  module.def("traced_call", &make_traced_call,
             "The method that takes the place of a module class's __call__.");
  py::class_<Tracer>(module, "Tracer", "Records one model in one thread.")
      .def(py::init<py::object, py::object, bool>(), py::arg("classify"), py::arg("rewrite"),
           py::arg("real"))
      .def("walk", &Tracer::walk, py::arg("model"),
           "Lists the model's modules, parents before children.")
      .def("classes", &Tracer::classes)
      .def("activate", &Tracer::activate)
      .def("deactivate", &Tracer::deactivate)
      .def("release", &Tracer::release)
      .def_property_readonly("node", &Tracer::node)
      .def("__len__", &Tracer::n_records)
      .def("emit", &Tracer::emit, py::arg("kind"), py::arg("op"), py::arg("operands"),
           py::arg("shape") = py::none(), py::arg("dtype") = py::none(),
           py::arg("channel_axis") = 1, py::arg("batched") = true, py::arg("fields") = py::none(),
           py::arg("into") = py::none())
      .def("answer", &Tracer::answer, py::arg("rule"), py::arg("op"), py::arg("input"),
           py::arg("attributes"), py::arg("weight") = py::none(), py::arg("bias") = py::none())
      .def("another", &Tracer::another, py::arg("shape"), py::arg("dtype"))
      .def("alias", &Tracer::alias, py::arg("tensor"), py::arg("base"))
      .def("rewrite", &Tracer::rewrite, py::arg("mark"), py::arg("fields"))
      .def("producer_of", &Tracer::producer_of, py::arg("tensor"))
      .def("totals", &Tracer::totals, py::arg("rules") = "torchstat")
      .def("finish", &Tracer::finish)
      .def("failure", &Tracer::failure)
      .def("path", &Tracer::path, py::arg("node"));
}

} // namespace bopscount::bindings
