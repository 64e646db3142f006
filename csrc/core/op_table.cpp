#include "core/op_table.hpp"

#include "core/op_rows.hpp"

namespace bopscount {

std::span<const OpKind, kind_count> op_table() { return rows::table; }

std::string_view to_string(MacForm form) {
  switch (form) {
  case MacForm::none: return "";
  case MacForm::by_output: return "outputs * in_channels / groups * kernel";
  case MacForm::by_input: return "inputs * out_channels / groups * kernel";
  case MacForm::by_weight: return "batch * weight_elements";
  case MacForm::attention: return "rows * kernel * (in_channels + out_channels)";
  }
  return "";
}

} // namespace bopscount
