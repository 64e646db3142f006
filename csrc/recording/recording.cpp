#include "recording/recording.hpp"

#include <algorithm>

#include "core/op_table.hpp"

namespace bopscount {
namespace {

/// Sizes of one side of a layer, in elements.
struct Sizes {
  std::int64_t batch, channels, positions;
};

Sizes sizes_of(const Dims &dims, int channel_axis, bool batched) {
  const std::size_t first = batched ? 1 : 0;
  const std::int64_t batch = batched && dims.rank > 0 ? dims[0] : 1;
  if (dims.rank <= first) return {batch, 1, 1};
  if (channel_axis < 0) return {batch, dims[dims.rank - 1], dims.elements(first, dims.rank - 1)};
  return {batch, dims[first], dims.elements(first + 1, dims.rank)};
}

} // namespace

void set_sizes(Layer &layer, const Dims &in, const Dims &out, int channel_axis, bool batched) {
  // A vector of features has no batch.
  if (channel_axis < 0 && in.rank <= 1) batched = false;
  const Sizes from = sizes_of(in, channel_axis, batched), to = sizes_of(out, channel_axis, batched);
  layer.batch = from.batch;
  layer.in_channels = from.channels;
  layer.in_positions = from.positions;
  layer.out_channels = to.channels;
  layer.out_positions = to.positions;
  if (to.batch != from.batch) {
    // A reshaping op: keep both element counts.
    layer.batch = 1;
    layer.in_positions *= from.batch;
    layer.out_positions *= to.batch;
  }
}

void set_vector_sizes(Layer &layer, const Dims &dims, std::size_t dim) {
  const bool batched = dims.rank > 1 && dim != 0;
  layer.in_channels = layer.out_channels = dims.rank > 0 ? dims[dim] : 1;
  layer.batch = batched ? dims[0] : 1;
  layer.in_positions = 1;
  for (std::size_t i = batched ? 1 : 0; i < dims.rank; ++i)
    if (i != dim) layer.in_positions *= dims[i];
  layer.out_positions = layer.in_positions;
}

void set_product_sizes(Layer &layer, const Dims &left, const Dims &right, const Dims &out) {
  const bool by_matrix = right.rank > 1;
  layer.batch = out.elements(0, by_matrix && out.rank > 0 ? out.rank - 1 : out.rank);
  layer.in_channels = left.rank > 0 ? left[left.rank - 1] : 1;
  layer.out_channels = by_matrix ? right[right.rank - 1] : 1;
  layer.in_positions = layer.out_positions = 1;
}

std::int32_t Recording::add(const Layer &layer, const Dims &in, const Dims &out, const Slot *inputs,
                            std::size_t n_inputs, std::size_t n_carriers) {
  const auto index = static_cast<std::int32_t>(layers_.size());
  layers_.push_back(layer);
  const OpKind &row = op_table()[layer.kind];
  std::uint8_t made = 0;
  if (layer.output_bits_source != BitSource::floating)
    made = layer.output_bits;
  else if (row.keeps_bits && n_carriers > 0)
    made = common_bits(inputs, n_carriers);
  else if (row.mac_form != MacForm::none)
    take_bits(layers_.back(), inputs, n_inputs);
  output_bits_.push_back(made);
  push_dims(in);
  push_dims(out);
  for (std::size_t i = 0; i < n_inputs; ++i) sources_.push_back(source(inputs[i]));
  source_starts_.push_back(static_cast<std::int64_t>(sources_.size()));
  return index;
}

Source Recording::source(Slot slot) const {
  if (slot < 0) return {};
  const Memory &memory = slots_[index(slot)];
  const bool is_input = memory.producer < 0 && index(slot) < static_cast<std::size_t>(n_inputs_);
  return {memory.producer, is_input ? static_cast<std::int32_t>(index(slot)) : -1,
          (slot & view_bit) != 0 || memory.written_through_view};
}

/// Return the common bit width of the slots, 0 if it is unknown or they differ.
std::uint8_t Recording::common_bits(const Slot *slots, std::size_t n_slots) const {
  const std::uint8_t first = bits(slots[0]);
  for (std::size_t i = 1; i < n_slots; ++i)
    if (bits(slots[i]) != first) return 0;
  return first;
}

/// Set the bit widths of a product from its operands, unless it knows better than their dtypes.
void Recording::take_bits(Layer &layer, const Slot *inputs, std::size_t n_inputs) const {
  const auto is_open = [](BitSource source) {
    return source == BitSource::floating || source == BitSource::dtype;
  };
  const std::uint8_t input = n_inputs > 0 ? bits(inputs[0]) : std::uint8_t{0};
  if (input != 0 && is_open(layer.input_bits_source)) {
    layer.input_bits = input;
    layer.input_bits_source = BitSource::producer;
  }
  // Attention multiplies with both keys and values.
  const bool attends = static_cast<Kind>(layer.kind) == Kind::attention;
  const std::uint8_t weight =
      n_inputs > (attends ? 2u : 1u) ? common_bits(inputs + 1, attends ? 2 : 1) : std::uint8_t{0};
  if (weight != 0 && is_open(layer.weight_bits_source)) {
    layer.weight_bits = weight;
    layer.weight_bits_source = BitSource::producer;
  }
}

Recording::Slot Recording::new_input() {
  ++n_inputs_;
  return new_slot(-1);
}

Recording::Slot Recording::new_slot(std::int32_t producer) {
  slots_.push_back({producer, 0, false});
  if (producer >= 0) write(static_cast<Slot>(slots_.size() - 1), producer);
  return static_cast<Slot>(slots_.size() - 1);
}

void Recording::write(Slot slot, std::int32_t producer) {
  slots_[index(slot)] = {producer, output_bits_[static_cast<std::size_t>(producer)],
                         (slot & view_bit) != 0};
}

Dims Recording::dims(std::size_t index) const {
  Dims dims;
  for (auto i = size_starts_[index]; i < size_starts_[index + 1]; ++i)
    dims.push(sizes_[static_cast<std::size_t>(i)]);
  return dims;
}

void Recording::push_dims(const Dims &dims) {
  sizes_.insert(sizes_.end(), dims.begin(), dims.end());
  size_starts_.push_back(static_cast<std::int64_t>(sizes_.size()));
}

void Recording::keep_only(std::size_t first, const std::vector<bool> &keep) {
  const std::size_t end = layers_.size();
  // Replacement of each record from `first` on: the moved record itself, or its sources in the
  // order of its operands.
  std::vector<std::vector<Source>> stands_for(end - first);
  const auto resolve = [&](const Source &source, std::vector<Source> &into) {
    const auto add = [&](const Source &one) {
      if (std::find(into.begin(), into.end(), one) == into.end()) into.push_back(one);
    };
    if (source.producer < static_cast<std::int32_t>(first)) return add(source);
    for (Source other : stands_for[static_cast<std::size_t>(source.producer) - first]) {
      other.viewed |= source.viewed;
      add(other);
    }
  };

  std::int32_t next = static_cast<std::int32_t>(first);
  std::vector<std::vector<Source>> kept_sources;
  std::vector<std::size_t> kept_records;
  for (std::size_t i = first; i < end; ++i) {
    std::vector<Source> read;
    for (auto at = source_starts_[i]; at < source_starts_[i + 1]; ++at)
      resolve(sources_[static_cast<std::size_t>(at)], read);
    if (keep[i - first]) {
      stands_for[i - first] = {Source{next++, -1, false}};
      kept_sources.push_back(std::move(read));
      kept_records.push_back(i);
    } else {
      // A dropped op may have transposed or sliced its operands.
      for (Source &source : read) source.viewed = true;
      stands_for[i - first] = std::move(read);
    }
  }
  for (Memory &memory : slots_) {
    if (memory.producer < static_cast<std::int32_t>(first)) continue;
    const auto &others = stands_for[static_cast<std::size_t>(memory.producer) - first];
    // Of several sources the latest, which is a kept record if there is one.
    memory.producer = -1;
    for (const Source &other : others) {
      if (other.producer < memory.producer) continue;
      memory.producer = other.producer;
      memory.written_through_view |= other.viewed;
    }
  }

  std::vector<Layer> layers;
  std::vector<Dims> shapes;
  for (const std::size_t i : kept_records) {
    layers.push_back(layers_[i]);
    shapes.push_back(input_dims(i));
    shapes.push_back(output_dims(i));
  }
  std::vector<std::uint8_t> output_bits;
  for (const std::size_t i : kept_records) output_bits.push_back(output_bits_[i]);
  output_bits_.resize(first);
  output_bits_.insert(output_bits_.end(), output_bits.begin(), output_bits.end());
  layers_.resize(first);
  size_starts_.resize(2 * first + 1);
  sizes_.resize(static_cast<std::size_t>(size_starts_.back()));
  source_starts_.resize(first + 1);
  sources_.resize(static_cast<std::size_t>(source_starts_.back()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers_.push_back(layers[i]);
    push_dims(shapes[2 * i]);
    push_dims(shapes[2 * i + 1]);
    sources_.insert(sources_.end(), kept_sources[i].begin(), kept_sources[i].end());
    source_starts_.push_back(static_cast<std::int64_t>(sources_.size()));
  }
}

} // namespace bopscount
