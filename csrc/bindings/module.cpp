#include "bindings/bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "Counts recorded layers: exact costs of each, in total and by group.";
  bopscount::bindings::register_layer(module);
  bopscount::bindings::register_op_table(module);
  bopscount::bindings::register_count(module);
  bopscount::bindings::register_search_blocks(module);
  bopscount::bindings::register_search_bits(module);
  bopscount::bindings::register_search_choices(module);
  bopscount::bindings::register_snapshot(module);
  bopscount::bindings::register_rule_functions(module);
  bopscount::bindings::register_tracer(module);
  module.attr("build_type") = BOPSCOUNT_BUILD_TYPE;
}
