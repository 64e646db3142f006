#include "tracer/tracer.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

#include "tracer/patches.hpp"
#include "tracer/snapshot.hpp"

namespace bopscount::tracer {
namespace {

// Slots and entry points of C functions get no argument that says which trace they serve. So the
// running tracer, of whichever thread, is process-wide; guarded by the GIL.
Tracer *active = nullptr;

} // namespace

Tracer *tracer_here() { return active != nullptr && active->is_mine() ? active : nullptr; }

Tracer &active_tracer() {
  Tracer *const tracer = tracer_here();
  if (tracer == nullptr) throw std::runtime_error("no tracer is active in this thread");
  return *tracer;
}

Tracer::Tracer(const py::object &host, std::shared_ptr<const Answers> answers, bool real)
    : real_(real), answers_(std::move(answers)), host_(host.ptr()), forms_(modes_),
      seen_(forms_, modes_, host_), tree_(host_, forms_), recorder_(tree_, forms_, seen_),
      leaves_(forms_, seen_, recorder_),
      calls_(tree_, recorder_, seen_, leaves_, modes_, host_, real),
      fast_(forms_, seen_, recorder_, modes_, real),
      functions_(*answers_, forms_, seen_, fast_, modes_, host_, real) {}

void Tracer::release() {
  seen_.clear();
  forms_.clear();
  tree_.release();
  host_.release();
  calls_.release();
}

void Tracer::run(const py::object &model, const py::object &body, const py::object &tidy,
                 const py::object &mode, const py::list &patches, bool training) {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  const GradMode grad_mode; // around `tidy()` too, which may be interrupted itself
  {
    Snapshot snapshot(model);
    ClassSlots slots;
    for (const auto &[cls, about] : tree_.classes()) slots.set(cls);
    Patches set;
    for (const py::handle patch : patches) {
      const auto part = py::reinterpret_borrow<py::tuple>(patch);
      set.set(PyTuple_GET_ITEM(part.ptr(), 0), PyTuple_GET_ITEM(part.ptr(), 1),
              PyTuple_GET_ITEM(part.ptr(), 2));
    }
    if (!training) snapshot.set_eval();
    call_torch("_set_grad_enabled", Py_False);
    const ModeStacks stacks(mode.ptr());
    modes_.set_height(stacks.n_function_modes());
    std::optional<EntryPoints::Installed> entries;
    if (!real_) entries.emplace(answers_->entry_points());
    thread_ = PyThread_get_thread_ident();
    Tracer *const previous = std::exchange(active, this);
    // A trace makes many objects and no cycles: the collector would find nothing. It is back on
    // when they are gone.
    const bool collects = !real_ && PyGC_Disable() != 0;
    const Ref result(PyObject_CallNoArgs(body.ptr()));
    PyErr_Fetch(&type, &value, &traceback);
    active = previous;
    release();
    snapshot.restore();
    if (collects) PyGC_Enable();
  }
  // A second interrupt must not keep `tidy()` from finishing.
  for (int attempt = 0; attempt < 3; ++attempt) {
    const Ref result(PyObject_CallNoArgs(tidy.ptr()));
    if (result) break;
    if (type == nullptr)
      PyErr_Fetch(&type, &value, &traceback);
    else
      PyErr_Clear();
  }
  if (type == nullptr) return;
  PyErr_Restore(type, value, traceback);
  throw py::error_already_set();
}

} // namespace bopscount::tracer
