#include "tracer/names.hpp"

namespace bopscount::tracer {

const Names &names() {
  static const Names interned;
  return interned;
}

} // namespace bopscount::tracer
