#include "tracer/module_tree.hpp"

#include <algorithm>

#include "tracer/names.hpp"

namespace bopscount::tracer {
namespace {

bool is_filled_dict(PyObject *value) {
  return value != nullptr && PyDict_Check(value) && PyDict_GET_SIZE(value) > 0;
}

/// Whether hooks are registered for every module.
bool has_global_hooks() {
  // torch has a function for this since 2.8; its dicts are older.
  static PyObject *const module = py::module_::import("torch.nn.modules.module").release().ptr();
  for (const char *name : {"_global_forward_hooks", "_global_forward_pre_hooks",
                           "_global_backward_hooks", "_global_backward_pre_hooks"}) {
    const Ref hooks = checked(PyObject_GetAttrString(module, name));
    if (is_filled_dict(hooks.get())) return true;
  }
  return false;
}

} // namespace

const ModuleClass &ModuleTree::class_of(PyTypeObject *type) {
  const auto found = classes_.find(type);
  if (found != classes_.end()) return found->second;
  Classified facts = host_.classify(type);
  ModuleClass about;
  about.leaf = facts.leaf;
  about.registered = facts.registered;
  about.sequential = facts.sequential;
  about.adapted = facts.adapted;
  const Ref own_call = checked(PyObject_GetAttr(reinterpret_cast<PyObject *>(type), names().call));
  about.plain_call = own_call.get() == torch().module_call;
  about.name = checked(PyObject_GetAttr(reinterpret_cast<PyObject *>(type), names().name));
  if (PyUnicode_Check(facts.rule.get())) {
    const auto name = py::handle(facts.rule.get()).cast<std::string>();
    for (const LeafRule &rule : leaf_rules())
      if (rule.name == name) about.rule = &rule;
    if (about.rule == nullptr) throw py::value_error("no leaf rule is called '" + name + "'");
  } else if (facts.rule.get() != Py_None) {
    about.python_rule = std::move(facts.rule);
  }
  return classes_.emplace(type, std::move(about)).first->second;
}

void ModuleTree::walk(PyObject *model) {
  struct Visit {
    PyObject *name, *module;
    std::int32_t parent;
  };
  global_hooks_ = has_global_hooks();
  std::vector<Visit> stack{{nullptr, model, -1}};
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
    node.module = Ref::borrow(visit.module);
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
    const ModuleClass &about = class_of(Py_TYPE(visit.module));
    node.leaf = about.leaf || children.empty();
    describe(node, about);
    adapt(node, index, about);
    if (!node.leaf) stack.insert(stack.end(), children.rbegin(), children.rend());
  }
  set_heights(shared);
  count_params();
}

std::int64_t ModuleTree::elements_of(PyObject *parameter) {
  const auto [entry, is_new] = elements_.emplace(parameter, 0);
  if (is_new) {
    const Ref count = checked(PyObject_CallMethodNoArgs(parameter, names().numel));
    to_int(count.get(), entry->second);
  }
  return entry->second;
}

void ModuleTree::count_params() {
  // Each parameter belongs to the first node that has it.
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
      // TorchScript keeps parameters elsewhere and makes new tensors at each access.
      const auto module = py::reinterpret_borrow<py::object>(node.module.get());
      if (py::hasattr(module, "parameters"))
        for (const py::handle parameter : module.attr("parameters")())
          node.params += parameter.attr("numel")().cast<std::int64_t>();
      continue;
    }
    add(node, node.dict);
    if (!node.leaf) continue;
    // Modules inside a leaf are not listed; their parameters are the leaf's.
    PyObject *modules = item(node.dict, names().modules);
    if (modules == nullptr || !PyDict_Check(modules) || PyDict_GET_SIZE(modules) == 0) continue;
    std::vector<PyObject *> inside{node.module.get()};
    std::unordered_set<PyObject *> visited{node.module.get()};
    while (!inside.empty()) {
      PyObject *module = inside.back();
      inside.pop_back();
      const Ref dict = checked(PyObject_GenericGetDict(module, nullptr));
      if (module != node.module.get()) add(node, dict.get());
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

void ModuleTree::describe(Node &node, const ModuleClass &about) {
  const Names &n = names();
  node.registered = about.registered;
  node.hooked = global_hooks_;
  for (PyObject *hooks :
       {n.forward_hooks, n.forward_pre_hooks, n.backward_hooks, n.backward_pre_hooks})
    node.hooked = node.hooked || is_filled_dict(item(node.dict, hooks));
  const auto own = [&](PyObject *name) {
    PyObject *hooks = item(node.dict, name);
    return hooks != nullptr && PyDict_Check(hooks) ? Ref::borrow(hooks) : Ref();
  };
  node.hooks = own(n.forward_hooks);
  node.pre_hooks = own(n.forward_pre_hooks);
  // A forward on the instance is the user's, which no rule knows; except for TorchScript's.
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
    node.view.weight_item_bytes = forms_.dtype_of(dtype.get()).item_bytes;
    return elements_of(parameter);
  };
  node.view.bias_elements = elements(n.bias);
  node.view.weight_elements = elements(n.weight);
  node.view.weight = item(parameters, n.weight);
  node.view.bias = item(parameters, n.bias);
}

void ModuleTree::adapt(Node &node, std::int32_t index, const ModuleClass &about) {
  // Asked are classes that an adapter may know, modules that one has named, and torch's own
  // classes with a forward or a weight that is not torch's.
  const bool odd =
      about.rule != nullptr &&
      (node.rule == nullptr || (node.view.weight != nullptr && node.view.weight != Py_None &&
                                Py_TYPE(node.view.weight) != torch().parameter));
  if (about.registered || !(about.adapted || odd || marked_.contains(node.module.get()))) return;
  Adapted answer = host_.adapt(node.module.get(), index);
  if (answer.inner) marked_.insert(answer.inner.get());
  if (!answer.is_leaf) return;
  node.leaf = node.registered = true;
  node.rule = nullptr;
  node.sequential = false;
  node.adapter_rule = std::move(answer.rule);
  node.python_rule = node.adapter_rule.get();
  node.logical_params = answer.logical_params;
}

void ModuleTree::set_heights(const std::vector<std::pair<std::int32_t, std::int32_t>> &shared) {
  // Bottom up; a child that several parents share raises them all, a cycle none.
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

std::string ModuleTree::path(std::int32_t node) const {
  std::string path;
  while (node > 0) {
    const Node &at = (*this)[node];
    const auto name = py::reinterpret_borrow<py::object>(at.name).cast<std::string>();
    path = path.empty() ? name : name + "." + path;
    node = at.parent;
  }
  return path;
}

PyObject *ModuleTree::held(PyObject *module, PyObject *name) const {
  const std::int32_t found = find(module);
  if (found < 0 || _PyType_Lookup(Py_TYPE(module), name) != nullptr) return nullptr;
  PyObject *const dict = (*this)[found].dict;
  const bool own = item(dict, name) != nullptr;
  for (PyObject *kind : {names().parameters, names().buffers, names().modules}) {
    PyObject *const holder = own ? nullptr : item(dict, kind);
    if (holder == nullptr || !(PyDict_CheckExact(holder) || PyODict_CheckExact(holder))) break;
    if (PyObject *value = item(holder, name)) return Py_NewRef(value);
  }
  PyErr_Clear();
  return nullptr;
}

void ModuleTree::release() {
  for (Node &node : nodes_) {
    node.python_rule = node.class_name = nullptr;
    node.adapter_rule = Ref();
  }
  classes_.clear();
}

} // namespace bopscount::tracer
