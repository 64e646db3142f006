/// The tracer of one model in one thread; README.md in this folder tells how it works.
#pragma once

#include <memory>

#include "tracer/function_dispatch.hpp"
#include "tracer/module_calls.hpp"

namespace bopscount::tracer {

/// Owns the parts of a trace, and runs a forward under them.
class Tracer {
public:
  /// `host` is a `bopscount.tracing.host.TraceHost`; `real` runs the model's arithmetic.
  Tracer(const py::object &host, std::shared_ptr<const Answers> answers, bool real);
  Tracer(const Tracer &) = delete;
  Tracer &operator=(const Tracer &) = delete;

  /// Run body() as the forward of `model`, in eval mode unless `training`, without gradients;
  /// then, whatever happened, `tidy()`.
  ///
  /// `mode` is the function mode; `patches` are further (object, attribute name, value) to set
  /// meanwhile. Everything that is changed is put back before `tidy()`.
  void run(const py::object &model, const py::object &body, const py::object &tidy,
           const py::object &mode, const py::list &patches, bool training);
  /// Drop the host, the tensors and the errors of a trace that is over; records stay.
  void release();

  ModuleTree &tree() { return tree_; }
  const ModuleTree &tree() const { return tree_; }
  Recorder &recorder() { return recorder_; }
  const Recorder &recorder() const { return recorder_; }
  LeafAnswers &leaves() { return leaves_; }
  ModuleCalls &calls() { return calls_; }
  const ModuleCalls &calls() const { return calls_; }
  FunctionDispatch &functions() { return functions_; }
  const Answers &answers() const { return *answers_; }

  /// Return the answer to a question about the tensor args[0], or null without an error.
  PyObject *answer_question(Question question, PyObject *const *args, Py_ssize_t n_args) {
    return tracer::answer_question(question, seen_, forms_, args, n_args);
  }
  /// Whether torch would call this trace's mode for a function called now.
  bool is_on_top() const { return !real_ && modes_.is_on_top(); }
  /// Whether this thread is the one that traces.
  bool is_mine() const { return thread_ == PyThread_get_thread_ident(); }

private:
  bool real_;
  unsigned long thread_ = 0;
  std::shared_ptr<const Answers> answers_;
  // Each part refers to some of those above it.
  Host host_;
  FunctionModes modes_;
  Forms forms_;
  SeenTensors seen_;
  ModuleTree tree_;
  Recorder recorder_;
  LeafAnswers leaves_;
  ModuleCalls calls_;
  FastAnswers fast_;
  FunctionDispatch functions_;
};

/// Return the tracer that runs in this thread, or null.
Tracer *tracer_here();

/// Return the tracer that runs in this thread; throw if there is none.
Tracer &active_tracer();

} // namespace bopscount::tracer
