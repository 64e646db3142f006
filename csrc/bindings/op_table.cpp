#include "core/op_table.hpp"

#include "bindings/bindings.hpp"

namespace bopscount::bindings {
namespace {

/// Return one row of the op table as a dict of strings, formulas printed.
py::dict to_dict(const OpKind &row) {
  py::dict fields;
  fields["name"] = row.name;
  fields["doc"] = row.doc;
  fields["macs"] = to_string(row.mac_form);
  fields["full_flops"] = to_string(row.full.flops);
  fields["full_madd"] = to_string(row.full.madd);
  fields["torchstat_flops"] = to_string(row.torchstat.flops);
  fields["torchstat_madd"] = to_string(row.torchstat.madd);
  fields["torchstat_read"] = to_string(row.torchstat.read);
  fields["torchstat_write"] = to_string(row.torchstat.write);
  fields["source"] = row.source;
  fields["shape"] = to_string(row.shape);
  fields["axis"] = to_string(row.axis);
  fields["weights"] = to_string(row.weights);
  fields["keeps_bits"] = row.keeps_bits ? "yes" : "";
  fields["saves"] = to_string(row.saves);
  fields["backward"] = to_string(row.backward);
  return fields;
}

} // namespace

void register_op_table(py::module_ &module) {
  py::list table;
  py::dict kinds;
  for (const OpKind &row : op_table()) {
    table.append(to_dict(row));
    kinds[py::str(row.name)] = static_cast<int>(row.kind);
  }
  module.attr("OP_TABLE") = py::tuple(table);
  module.attr("KINDS") = kinds;
}

} // namespace bopscount::bindings
