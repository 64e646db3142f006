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

std::string_view to_string(ShapeRule shape) {
  switch (shape) {
  case ShapeRule::by_rule: return "by_rule";
  case ShapeRule::same: return "same";
  case ShapeRule::product: return "product";
  case ShapeRule::window: return "window";
  case ShapeRule::adaptive: return "adaptive";
  case ShapeRule::resize: return "resize";
  case ShapeRule::reduce: return "reduce";
  }
  return "";
}

std::string_view to_string(ChannelAxis axis) {
  switch (axis) {
  case ChannelAxis::channels_first: return "channels_first";
  case ChannelAxis::last: return "last";
  case ChannelAxis::any: return "any";
  }
  return "";
}

std::string_view to_string(WeightRule weights) {
  switch (weights) {
  case WeightRule::none: return "none";
  case WeightRule::per_channel: return "per_channel";
  case WeightRule::trailing: return "trailing";
  case WeightRule::product: return "product";
  case WeightRule::operand: return "operand";
  case WeightRule::by_rule: return "by_rule";
  }
  return "";
}

std::string_view to_string(Saved saves) {
  switch (saves) {
  case Saved::unset: return "";
  case Saved::none: return "none";
  case Saved::input: return "input";
  case Saved::output: return "output";
  case Saved::both: return "both";
  case Saved::mask: return "mask";
  case Saved::statistics: return "statistics";
  }
  return "";
}

} // namespace bopscount
