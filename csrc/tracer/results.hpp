/// The records of a trace with the modules' parameters.
#pragma once

#include <vector>

#include "tracer/recorder.hpp"

namespace bopscount::tracer {

/// Records of all modules that ran or hold parameters.
struct Results {
  std::vector<Layer> layers;       ///< those of the recorder, then one for each other module
  std::vector<std::int32_t> nodes; ///< the module of each layer
};

/// Return the records, with each module's parameters on the first of its own. Modules without a
/// record get one if they were never called or hold parameters beside their children's.
Results results_of(const ModuleTree &tree, const Recorder &recorder);

} // namespace bopscount::tracer
