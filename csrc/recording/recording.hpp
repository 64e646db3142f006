/// Network under recording: layers, shapes, producers and consumers.
#pragma once

#include <cstdint>
#include <vector>

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// Set batch, channels and positions of both sides of `layer`.
///
/// `channel_axis` is 1 (channels first) or -1 (features last); an unbatched
/// tensor has one dimension less and a batch of 1.
void set_sizes(Layer &layer, const Dims &in, const Dims &out, int channel_axis, bool batched);

/// Set the sizes of vectors along dimension `dim`: channels are their length, positions their
/// number per sample. Vectors along dimension 0 have no batch, nor has a tensor of rank 1.
void set_vector_sizes(Layer &layer, const Dims &dims, std::size_t dim);

/// Set the sizes of the matrix product (..., m, k) @ (..., k, n) of shape `out`: the batch is the
/// number of rows of the product, with k input and n output channels.
void set_product_sizes(Layer &layer, const Dims &left, const Dims &right, const Dims &out);

/// Source of an operand.
struct Source {
  std::int32_t producer = -1; ///< index of the record that made it, -1 for none
  std::int32_t input = -1;    ///< number of the network's input that it is, -1 for none
  bool viewed = false;        ///< seen through a view, possibly transposed or sliced

  bool operator==(const Source &) const = default;
};

/// Recorded layers in execution order. A slot is a piece of memory that tensors share: views have
/// the slot of their base, marked as a view, and see writes through each other.
class Recording {
public:
  using Slot = std::int32_t;
  static constexpr Slot no_slot = -1;
  /// Return the slot marked as a view.
  static constexpr Slot view_of(Slot slot) { return slot < 0 ? slot : slot | view_bit; }

  /// Record one op that reads `inputs`, and return its index.
  ///
  /// Operands carry the bit widths of their producers. A product of otherwise unknown widths
  /// takes them, and an op that only moves values passes them on if its first `n_carriers`
  /// inputs agree.
  std::int32_t add(const Layer &layer, const Dims &in, const Dims &out, const Slot *inputs,
                   std::size_t n_inputs, std::size_t n_carriers);

  /// Return a slot for the network's next input; call it before anything is recorded.
  Slot new_input();
  /// Return a new slot, last written by record `producer` (-1 for none).
  Slot new_slot(std::int32_t producer);
  /// Note that record `producer` wrote the slot.
  void write(Slot slot, std::int32_t producer);
  /// Return the record that wrote the slot last, -1 for none.
  std::int32_t producer(Slot slot) const { return slot < 0 ? -1 : slots_[index(slot)].producer; }
  /// Return the bit width of the values in the slot, 0 if unknown.
  std::uint8_t bits(Slot slot) const {
    return slot < 0 ? std::uint8_t{0} : slots_[index(slot)].bits;
  }
  /// Set the bit width of the values in the slot.
  void set_bits(Slot slot, std::uint8_t bits) { slots_[index(slot)].bits = bits; }

  /// Drop the records i >= `first` with a false keep[i - first]. Readers of a dropped record
  /// read its operands instead.
  void keep_only(std::size_t first, const std::vector<bool> &keep);

  /// Return the number of records.
  std::size_t size() const { return layers_.size(); }
  /// Return the records in execution order.
  std::vector<Layer> &layers() { return layers_; }
  const std::vector<Layer> &layers() const { return layers_; }
  /// Return the shape of a record's first operand or of its output.
  Dims input_dims(std::size_t record) const { return dims(2 * record); }
  Dims output_dims(std::size_t record) const { return dims(2 * record + 1); }
  /// Return the operands of all records; those of record i are
  /// sources()[source_starts()[i] .. source_starts()[i + 1]].
  const std::vector<Source> &sources() const { return sources_; }
  const std::vector<std::int64_t> &source_starts() const { return source_starts_; }

private:
  static constexpr Slot view_bit = 1 << 30;
  static constexpr std::size_t index(Slot slot) {
    return static_cast<std::size_t>(slot & ~view_bit);
  }
  Source source(Slot slot) const;
  std::uint8_t common_bits(const Slot *slots, std::size_t n_slots) const;
  void take_bits(Layer &layer, const Slot *inputs, std::size_t n_inputs) const;
  Dims dims(std::size_t index) const;
  void push_dims(const Dims &dims);

  std::vector<Layer> layers_;
  std::vector<std::int64_t> sizes_;
  std::vector<std::int64_t> size_starts_{0};
  std::vector<Source> sources_;
  std::vector<std::int64_t> source_starts_{0};
  std::int32_t n_inputs_ = 0; ///< inputs of the network; they have the first slots
  /// Last write to a piece of memory.
  struct Memory {
    std::int32_t producer;     ///< index of the writing record, -1 for none
    std::uint8_t bits;         ///< bit width of the values, 0 if unknown
    bool written_through_view; ///< whether the record wrote through a view
  };
  std::vector<Memory> slots_;
  std::vector<std::uint8_t> output_bits_; ///< bit width of each record's output, 0 if unknown
};

} // namespace bopscount
