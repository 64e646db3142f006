#include "tracer/record_fields.hpp"

#include <string>
#include <unordered_map>
#include <utility>

namespace bopscount::tracer {
namespace {

template <class Value> void set_integer(Value &field, const std::string &name, PyObject *value) {
  std::int64_t wide = 0;
  const Ref index(PyNumber_Index(value));
  if (!index) throw py::error_already_set();
  if (!to_int(index.get(), wide) || static_cast<std::int64_t>(static_cast<Value>(wide)) != wide)
    throw py::value_error(name + " does not fit: " + py::cast<std::string>(py::repr(value)));
  field = static_cast<Value>(wide);
}

void set_source(BitSource &field, const std::string &name, PyObject *value) {
  std::uint8_t number = 0;
  set_integer(number, name, value);
  field = static_cast<BitSource>(number);
}

void set_triple(std::int32_t (&field)[3], const std::string &name, PyObject *value) {
  const auto values = py::reinterpret_borrow<py::sequence>(value);
  if (!PySequence_Check(value) || values.size() > 3)
    throw py::value_error(name + " must have up to three sizes");
  for (std::size_t i = 0; i < values.size(); ++i)
    set_integer(field[i], name, py::object(values[i]).ptr());
}

using Setter = void (*)(Layer &, const std::string &, PyObject *);

Setter setter_of(const std::string &name) {
#define BOPSCOUNT_FIELD(field)                                                                     \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_integer(l.field, n, v); }        \
  }
#define BOPSCOUNT_TRIPLE(field)                                                                    \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_triple(l.field, n, v); }         \
  }
#define BOPSCOUNT_SOURCE(field)                                                                    \
  {                                                                                                \
    #field, [](Layer &l, const std::string &n, PyObject *v) { set_source(l.field, n, v); }         \
  }
  static const std::unordered_map<std::string, Setter> setters = {
      BOPSCOUNT_FIELD(calls),
      BOPSCOUNT_FIELD(batch),
      BOPSCOUNT_FIELD(in_channels),
      BOPSCOUNT_FIELD(in_positions),
      BOPSCOUNT_FIELD(out_channels),
      BOPSCOUNT_FIELD(out_positions),
      BOPSCOUNT_FIELD(groups),
      BOPSCOUNT_FIELD(weight_elements),
      BOPSCOUNT_FIELD(bias_elements),
      BOPSCOUNT_FIELD(extra_elements),
      BOPSCOUNT_FIELD(nonzero_weights),
      BOPSCOUNT_TRIPLE(kernel),
      BOPSCOUNT_TRIPLE(stride),
      BOPSCOUNT_TRIPLE(padding),
      BOPSCOUNT_TRIPLE(dilation),
      BOPSCOUNT_TRIPLE(output_padding),
      BOPSCOUNT_FIELD(kind),
      BOPSCOUNT_FIELD(flags),
      BOPSCOUNT_FIELD(input_bits),
      BOPSCOUNT_FIELD(weight_bits),
      BOPSCOUNT_FIELD(output_bits),
      BOPSCOUNT_SOURCE(input_bits_source),
      BOPSCOUNT_SOURCE(weight_bits_source),
      BOPSCOUNT_SOURCE(output_bits_source),
      BOPSCOUNT_FIELD(input_item_bytes),
      BOPSCOUNT_FIELD(output_item_bytes),
      BOPSCOUNT_FIELD(weight_item_bytes),
  };
#undef BOPSCOUNT_FIELD
#undef BOPSCOUNT_TRIPLE
#undef BOPSCOUNT_SOURCE
  const auto found = setters.find(name);
  if (found == setters.end()) throw py::value_error("a record has no field '" + name + "'");
  return found->second;
}

} // namespace

void set_field(Layer &layer, PyObject *name, PyObject *value) {
  // Names in Python code are interned, so that their address identifies them. A reference to
  // each is kept: its address is never reused.
  static std::unordered_map<PyObject *, std::pair<std::string, Setter>> by_address;
  auto found = by_address.find(name);
  if (found == by_address.end()) {
    auto text = py::reinterpret_borrow<py::object>(name).cast<std::string>();
    const Setter setter = setter_of(text);
    if (!PyUnicode_CHECK_INTERNED(name)) return setter(layer, text, value);
    found = by_address.emplace(Py_NewRef(name), std::pair{std::move(text), setter}).first;
  }
  found->second.second(layer, found->second.first, value);
}

} // namespace bopscount::tracer
