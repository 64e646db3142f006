#include "tracer/indexing.hpp"

namespace bopscount::tracer {

bool is_basic_index(PyObject *index) {
  if (PyTuple_Check(index)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index); ++i)
      if (PyTuple_Check(PyTuple_GET_ITEM(index, i)) || !is_basic_index(PyTuple_GET_ITEM(index, i)))
        return false;
    return true;
  }
  return PyLong_CheckExact(index) || PySlice_Check(index) || index == Py_None ||
         index == Py_Ellipsis;
}

bool indexed_shape(PyObject *index, const Dims &in, Dims &out) {
  const bool several = PyTuple_Check(index);
  const Py_ssize_t n_parts = several ? PyTuple_GET_SIZE(index) : 1;
  const auto part_of = [&](Py_ssize_t i) { return several ? PyTuple_GET_ITEM(index, i) : index; };
  std::size_t used = 0, dim = 0;
  Py_ssize_t ellipses = 0;
  for (Py_ssize_t i = 0; i < n_parts; ++i) {
    ellipses += part_of(i) == Py_Ellipsis;
    used += part_of(i) != Py_Ellipsis && part_of(i) != Py_None;
  }
  if (used > in.rank || ellipses > 1 ||
      in.rank + static_cast<std::size_t>(n_parts) > Dims::capacity)
    return false;
  out.rank = 0;
  for (Py_ssize_t i = 0; i < n_parts; ++i) {
    PyObject *part = part_of(i);
    if (part == Py_None) {
      out.push(1);
    } else if (part == Py_Ellipsis) {
      for (std::size_t left = in.rank - used; left > 0; --left) out.push(in[dim++]);
    } else if (PySlice_Check(part)) {
      Py_ssize_t start, stop, step;
      if (PySlice_Unpack(part, &start, &stop, &step) != 0) return PyErr_Clear(), false;
      if (step < 1) return false;
      out.push(PySlice_AdjustIndices(static_cast<Py_ssize_t>(in[dim++]), &start, &stop, step));
    } else {
      std::int64_t at = 0;
      if (!to_int(part, at) || at < -in[dim] || at >= in[dim]) return false;
      ++dim;
    }
  }
  while (dim < in.rank) out.push(in[dim++]);
  return true;
}

bool viewed_shape(PyObject *args, const Dims &in, Dims &out) {
  PyObject *sizes = args;
  Py_ssize_t first = 1;
  if (PyTuple_GET_SIZE(args) == 2 && !PyLong_Check(PyTuple_GET_ITEM(args, 1))) {
    sizes = PyTuple_GET_ITEM(args, 1);
    first = 0;
  }
  if (!PyTuple_Check(sizes) && !PyList_Check(sizes)) return false;
  const Py_ssize_t end = PySequence_Fast_GET_SIZE(sizes);
  if (end - first > static_cast<Py_ssize_t>(Dims::capacity) || (sizes == args && end == 1))
    return false;
  out.rank = 0;
  std::size_t inferred = Dims::capacity;
  std::int64_t known = 1;
  const std::int64_t elements = in.elements();
  for (Py_ssize_t i = first; i < end; ++i) {
    std::int64_t size = 0;
    if (!to_int(PySequence_Fast_GET_ITEM(sizes, i), size) || size < -1) return false;
    if (size == -1) {
      if (inferred != Dims::capacity) return false;
      inferred = out.rank;
    } else if (__builtin_mul_overflow(known, size, &known)) {
      return false;
    }
    out.push(size);
  }
  if (inferred != Dims::capacity) {
    if (known == 0 || elements % known != 0) return false;
    out[inferred] = elements / known;
    known = elements;
  }
  return known == elements;
}

} // namespace bopscount::tracer
