#include "recording.hpp"

#include <algorithm>

namespace bopscount {
namespace {

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
    // A reshaping op: both element counts stay true.
    layer.batch = 1;
    layer.in_positions *= from.batch;
    layer.out_positions *= to.batch;
  }
}

std::int32_t Recording::add(const Layer &layer, const Dims &in, const Dims &out, const Slot *inputs,
                            std::size_t n_inputs) {
  const auto index = static_cast<std::int32_t>(layers_.size());
  layers_.push_back(layer);
  push_dims(in);
  push_dims(out);
  for (std::size_t i = 0; i < n_inputs; ++i) producers_.push_back(producer(inputs[i]));
  producer_starts_.push_back(static_cast<std::int64_t>(producers_.size()));
  return index;
}

Recording::Slot Recording::new_slot(std::int32_t producer) {
  producers_of_slots_.push_back(producer);
  return static_cast<Slot>(producers_of_slots_.size() - 1);
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
  // What each record from `first` on stands for afterwards: itself, moved, or what it read.
  std::vector<std::vector<std::int32_t>> stands_for(end - first);
  const auto resolve = [&](std::int32_t producer, std::vector<std::int32_t> &into) {
    if (producer < static_cast<std::int32_t>(first)) {
      into.push_back(producer);
      return;
    }
    const auto &others = stands_for[static_cast<std::size_t>(producer) - first];
    into.insert(into.end(), others.begin(), others.end());
  };

  std::int32_t next = static_cast<std::int32_t>(first);
  std::vector<std::vector<std::int32_t>> kept_producers;
  std::vector<std::size_t> kept_records;
  for (std::size_t i = first; i < end; ++i) {
    std::vector<std::int32_t> read;
    for (auto p = producer_starts_[i]; p < producer_starts_[i + 1]; ++p)
      resolve(producers_[static_cast<std::size_t>(p)], read);
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    if (keep[i - first]) {
      stands_for[i - first] = {next++};
      kept_producers.push_back(std::move(read));
      kept_records.push_back(i);
    } else {
      stands_for[i - first] = std::move(read);
    }
  }
  for (auto &producer : producers_of_slots_) {
    if (producer < static_cast<std::int32_t>(first)) continue;
    const auto &others = stands_for[static_cast<std::size_t>(producer) - first];
    // Of several sources the latest: a kept record where there is one.
    producer = others.empty() ? -1 : others.back();
  }

  std::vector<Layer> layers;
  std::vector<Dims> shapes;
  for (const std::size_t i : kept_records) {
    layers.push_back(layers_[i]);
    shapes.push_back(input_dims(i));
    shapes.push_back(output_dims(i));
  }
  layers_.resize(first);
  size_starts_.resize(2 * first + 1);
  sizes_.resize(static_cast<std::size_t>(size_starts_.back()));
  producer_starts_.resize(first + 1);
  producers_.resize(static_cast<std::size_t>(producer_starts_.back()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers_.push_back(layers[i]);
    push_dims(shapes[2 * i]);
    push_dims(shapes[2 * i + 1]);
    producers_.insert(producers_.end(), kept_producers[i].begin(), kept_producers[i].end());
    producer_starts_.push_back(static_cast<std::int64_t>(producers_.size()));
  }
}

} // namespace bopscount
