#include "core/formula.hpp"

namespace bopscount {

std::string to_string(const Formula &formula) {
  if (!formula.set) return "";
  std::string text;
  // Positive terms first, so that a formula never starts with a minus.
  for (const bool negative : {false, true}) {
    for (std::size_t i = 0; i < term_count; ++i) {
      const int multiple = formula.multiples[i];
      if (multiple == 0 || (multiple < 0) != negative) continue;
      const int size = negative ? -multiple : multiple;
      if (!text.empty()) text += negative ? " - " : " + ";
      if (size != 1) text += std::to_string(size) + "*";
      text += term_names[i];
    }
  }
  return text.empty() ? "0" : text;
}

} // namespace bopscount
