/// The model's modules.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tracer/forms.hpp"
#include "tracer/host.hpp"
#include "tracer/leaf_rules.hpp"

namespace bopscount::tracer {

/// One module of the model, under its first path.
struct Node {
  Ref module;
  PyObject *dict = nullptr; ///< its __dict__, borrowed
  PyObject *name = nullptr; ///< its name in the parent, borrowed from the parent's _modules
  std::int32_t parent = -1;
  std::int32_t height = 1; ///< 1 for a leaf, else 1 more than its highest child
  bool leaf = false;
  bool registered = false; ///< its bit widths come from register_layer or an adapter
  bool hooked = false;     ///< torch must call it, for its hooks
  Ref hooks, pre_hooks;    ///< dicts of its forward hooks, which a forward may fill; null if none
  bool sequential = false; ///< its forward is nn.Sequential's
  bool plain_call = false; ///< its class has no __call__ of its own
  const LeafRule *rule = nullptr;
  PyObject *python_rule = nullptr; ///< a callable in place of the forward, borrowed; null if none
  Ref adapter_rule;                ///< owns `python_rule` where an adapter gave it
  PyObject *class_name = nullptr;  ///< borrowed from the tree's classes
  std::int64_t calls = 0;
  std::int64_t params = 0;          ///< parameters that no earlier node has
  std::int64_t logical_params = -1; ///< where they are packed; -1: as they are held
  LeafModule view;                  ///< what its leaf rule reads

  /// Whether the module has hooks now.
  bool is_hooked() const {
    return hooked || (hooks && PyDict_GET_SIZE(hooks.get()) != 0) ||
           (pre_hooks && PyDict_GET_SIZE(pre_hooks.get()) != 0);
  }
};

/// Properties of a module class, asked from Python once per trace.
struct ModuleClass {
  bool leaf = false;
  bool registered = false; ///< has a rule from register_layer
  bool sequential = false; ///< its forward is nn.Sequential's
  bool plain_call = false; ///< its __call__ is nn.Module's
  bool adapted = false;    ///< an adapter may know its instances
  const LeafRule *rule = nullptr;
  Ref python_rule, name;
};

/// The modules of a model, parents before children.
class ModuleTree {
public:
  ModuleTree(const Host &host, Forms &forms) : host_(host), forms_(forms) {}
  ModuleTree(const ModuleTree &) = delete;
  ModuleTree &operator=(const ModuleTree &) = delete;

  /// List the modules of a model, iteratively.
  void walk(PyObject *model);

  const std::vector<Node> &nodes() const { return nodes_; }
  Node &operator[](std::int32_t index) { return nodes_[static_cast<std::size_t>(index)]; }
  const Node &operator[](std::int32_t index) const {
    return nodes_[static_cast<std::size_t>(index)];
  }
  /// Return a module's index, or -1 if it is not part of the model.
  std::int32_t find(PyObject *module) const {
    const auto found = index_of_.find(module);
    return found == index_of_.end() ? -1 : found->second;
  }
  /// Return the dotted path of a module.
  std::string path(std::int32_t node) const;
  const std::unordered_map<PyTypeObject *, ModuleClass> &classes() const { return classes_; }
  /// Return the parameter, buffer or module that a module holds under a name, as
  /// nn.Module.__getattr__ finds it; a new reference, or null without an error.
  PyObject *held(PyObject *module, PyObject *name) const;

  /// Drop the rules and class names that Python gave.
  void release();

private:
  const ModuleClass &class_of(PyTypeObject *type);
  void describe(Node &node, const ModuleClass &about);
  void adapt(Node &node, std::int32_t index, const ModuleClass &about);
  void set_heights(const std::vector<std::pair<std::int32_t, std::int32_t>> &shared);
  void count_params();
  std::int64_t elements_of(PyObject *parameter);

  const Host &host_;
  Forms &forms_;
  bool global_hooks_ = false; ///< torch calls hooks for every module
  std::vector<Node> nodes_;
  std::unordered_map<PyObject *, std::int32_t> index_of_;
  std::unordered_map<PyTypeObject *, ModuleClass> classes_;
  std::unordered_set<PyObject *> marked_; ///< modules to ask adapters about for their parent's sake
  std::unordered_map<PyObject *, std::int64_t> elements_; ///< of parameters, during the walk
};

} // namespace bopscount::tracer
