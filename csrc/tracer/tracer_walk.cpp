// The module tree.
#include <algorithm>
#include <unordered_set>

#include "tracer/tracer_detail.hpp"

namespace bopscount::bindings {
namespace {

bool is_filled_dict(PyObject *value) {
  return value != nullptr && PyDict_Check(value) && PyDict_GET_SIZE(value) > 0;
}

/// Whether hooks are registered for every module. torch's own function that says so is absent
/// before torch 2.8; the dicts that it looks at are there.
bool has_global_hooks() {
  static PyObject *const module = py::module_::import("torch.nn.modules.module").release().ptr();
  for (const char *name : {"_global_forward_hooks", "_global_forward_pre_hooks",
                           "_global_backward_hooks", "_global_backward_pre_hooks"}) {
    const Ref hooks = checked(PyObject_GetAttrString(module, name));
    if (is_filled_dict(hooks.get())) return true;
  }
  return false;
}

} // namespace

const ModuleClass *Tracer::class_of(PyTypeObject *type) {
  const auto found = classes_.find(type);
  if (found != classes_.end()) return &found->second;
  const Ref answer = checked(PyObject_CallMethodOneArg(driver_.get(), names().classify,
                                                       reinterpret_cast<PyObject *>(type)));
  const auto fields = py::reinterpret_borrow<py::tuple>(answer.get());
  ModuleClass about;
  about.leaf = fields[0].cast<bool>();
  about.registered = fields[2].cast<bool>();
  about.sequential = fields[3].cast<bool>();
  about.adapted = fields[4].cast<bool>();
  const Ref own_call = checked(PyObject_GetAttr(reinterpret_cast<PyObject *>(type), names().call));
  about.plain_call = own_call.get() == torch().module_call;
  about.name = checked(PyObject_GetAttr(reinterpret_cast<PyObject *>(type), names().name));
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
  global_hooks_ = has_global_hooks();
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
    adapt(node, index, about);
    if (!node.leaf) stack.insert(stack.end(), children.rbegin(), children.rend());
  }
  set_heights(shared);
  count_params();
}

std::int64_t Tracer::elements_of(PyObject *parameter) {
  const auto [entry, is_new] = elements_.emplace(parameter, 0);
  if (is_new) {
    const Ref count = checked(PyObject_CallMethodNoArgs(parameter, names().numel));
    to_int(count.get(), entry->second);
  }
  return entry->second;
}

/// Gives each parameter to the first node that has it.
void Tracer::count_params() {
  std::unordered_set<PyObject *> seen;
  const auto add = [&](Node &node, PyObject *module_dict) {
    PyObject *parameters = item(module_dict, names().parameters);
    if (parameters == nullptr || !PyDict_Check(parameters)) return;
    PyObject *key, *parameter;
    Py_ssize_t position = 0;
    while (PyDict_Next(parameters, &position, &key, &parameter))
      if (parameter != Py_None && seen.insert(parameter).second)
        node.params += elements_of(parameter);
  };
  for (Node &node : nodes_) {
    PyObject *own = item(node.dict, names().parameters);
    if (own == nullptr || !PyDict_Check(own)) {
      // TorchScript keeps its parameters elsewhere, and makes them anew each time.
      const auto module = py::reinterpret_borrow<py::object>(node.module);
      if (py::hasattr(module, "parameters"))
        for (const py::handle parameter : module.attr("parameters")())
          node.params += parameter.attr("numel")().cast<std::int64_t>();
      continue;
    }
    add(node, node.dict);
    if (!node.leaf) continue;
    // What a leaf contains is not listed; its parameters are the leaf's.
    PyObject *modules = item(node.dict, names().modules);
    if (modules == nullptr || !PyDict_Check(modules) || PyDict_GET_SIZE(modules) == 0) continue;
    std::vector<PyObject *> inside{node.module};
    std::unordered_set<PyObject *> visited{node.module};
    while (!inside.empty()) {
      PyObject *module = inside.back();
      inside.pop_back();
      const Ref dict = checked(PyObject_GenericGetDict(module, nullptr));
      if (module != node.module) add(node, dict.get());
      PyObject *below = item(dict.get(), names().modules);
      PyObject *key, *child;
      Py_ssize_t position = 0;
      if (below == nullptr || !PyDict_Check(below)) continue;
      while (PyDict_Next(below, &position, &key, &child))
        if (child != Py_None && visited.insert(child).second) inside.push_back(child);
    }
  }
  elements_.clear();
}

void Tracer::describe(Node &node, const ModuleClass &about) {
  const Names &n = names();
  node.registered = about.registered;
  node.hooked = global_hooks_;
  for (PyObject *hooks :
       {n.forward_hooks, n.forward_pre_hooks, n.backward_hooks, n.backward_pre_hooks})
    node.hooked = node.hooked || is_filled_dict(item(node.dict, hooks));
  const auto own = [&](PyObject *name) {
    PyObject *hooks = item(node.dict, name);
    if (hooks == nullptr || !PyDict_Check(hooks)) return Ref();
    Py_INCREF(hooks);
    return Ref(hooks);
  };
  node.hooks = own(n.forward_hooks);
  node.pre_hooks = own(n.forward_pre_hooks);
  // An own forward on the instance is the user's, and no rule speaks for it; unless TorchScript
  // keeps its own there.
  PyObject *forward = item(node.dict, n.forward);
  if (!about.registered && (forward == nullptr || Py_TYPE(forward) == torch().script_method)) {
    node.rule = about.rule;
    node.python_rule = about.python_rule.get();
    node.sequential = about.sequential && !node.leaf;
  }
  node.plain_call = about.plain_call;
  node.class_name = about.name.get();
  node.view.dict = node.dict;
  PyObject *parameters = item(node.dict, n.parameters);
  if (node.rule == nullptr || parameters == nullptr || !PyDict_Check(parameters)) return;
  const auto elements = [&](PyObject *name) -> std::int64_t {
    PyObject *parameter = item(parameters, name);
    if (parameter == nullptr || parameter == Py_None) return 0;
    const Ref dtype = checked(PyObject_GetAttr(parameter, n.dtype));
    node.view.weight_dtype = dtype.get();
    node.view.weight_item_bytes = dtype_of(dtype.get()).item_bytes;
    return elements_of(parameter);
  };
  node.view.bias_elements = elements(n.bias);
  node.view.weight_elements = elements(n.weight);
  node.view.weight = item(parameters, n.weight);
  node.view.bias = item(parameters, n.bias);
}

/// Asks the adapters about a module whose class they might know, which one of them has named,
/// or which is one of torch's own with a forward or a weight that is not.
void Tracer::adapt(Node &node, std::int32_t index, const ModuleClass &about) {
  const bool odd =
      about.rule != nullptr &&
      (node.rule == nullptr || (node.view.weight != nullptr && node.view.weight != Py_None &&
                                Py_TYPE(node.view.weight) != torch().parameter));
  if (about.registered || !(about.adapted || odd || marked_.count(node.module) != 0)) return;
  const Ref number = checked(PyLong_FromLong(index));
  const Ref answer = checked(
      PyObject_CallMethodObjArgs(driver_.get(), names().adapt, node.module, number.get(), nullptr));
  if (answer.get() == Py_None) return;
  if (!PyTuple_Check(answer.get())) {
    marked_.insert(answer.get());
    return;
  }
  node.leaf = node.registered = true;
  node.rule = nullptr;
  node.sequential = false;
  node.python_rule = nullptr;
  PyObject *rule = PyTuple_GET_ITEM(answer.get(), 0);
  if (rule != Py_None) {
    Py_INCREF(rule);
    node.adapter_rule = Ref(rule);
    node.python_rule = rule;
  }
  to_int(PyTuple_GET_ITEM(answer.get(), 1), node.logical_params);
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

} // namespace bopscount::bindings
