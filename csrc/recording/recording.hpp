/// A network while it is being recorded: layers, shapes, and who fed whom.
#pragma once

#include <cstdint>
#include <vector>

#include "core/layer.hpp"
#include "recording/dims.hpp"

namespace bopscount {

/// Fills batch, channels and positions of both sides of `layer`.
///
/// `channel_axis` is 1 (channels first) or -1 (features last); an unbatched
/// tensor has one dimension less and a batch of 1.
void set_sizes(Layer &layer, const Dims &in, const Dims &out, int channel_axis, bool batched);

/// Fill the sizes of vectors along dimension `dim`: channels are their length, and positions their
/// number a sample. Vectors along dimension 0, or of a tensor that is one, have no batch.
void set_vector_sizes(Layer &layer, const Dims &dims, std::size_t dim);

/// Fill the sizes of the matrix product (..., m, k) @ (..., k, n) of shape `out`: a batch of as
/// many rows as the product has, of k channels in and n out.
void set_product_sizes(Layer &layer, const Dims &left, const Dims &right, const Dims &out);

/// Where an operand came from.
struct Source {
  std::int32_t producer = -1; ///< the record that made it, -1: none
  std::int32_t input = -1;    ///< the number of the network's input that it is, -1: none
  bool viewed = false;        ///< seen through a view, which may have turned or cut it

  bool operator==(const Source &) const = default;
};

/// Appends layers in the order they ran. A slot is a piece of memory that tensors
/// share: views have their base's, marked as such, and a write through one is seen by all.
class Recording {
public:
  using Slot = std::int32_t;
  static constexpr Slot no_slot = -1;
  /// The slot as a view of its memory sees it.
  static constexpr Slot view_of(Slot slot) { return slot < 0 ? slot : slot | view_bit; }

  /// Records one op that read `inputs`; returns its index.
  ///
  /// Operands carry bit widths from who made them: a product of otherwise unknown widths
  /// gets them, and what only moves values hands them on if all of `carriers`, the first
  /// inputs, agree.
  std::int32_t add(const Layer &layer, const Dims &in, const Dims &out, const Slot *inputs,
                   std::size_t n_inputs, std::size_t n_carriers);

  /// The memory of the network's next input; to be called before anything is recorded.
  Slot new_input();
  /// A new piece of memory, last written by record `producer` (-1: not by a record).
  Slot new_slot(std::int32_t producer);
  /// Says that record `producer` wrote the slot.
  void write(Slot slot, std::int32_t producer);
  std::int32_t producer(Slot slot) const { return slot < 0 ? -1 : slots_[index(slot)].producer; }
  /// Bits of the values in the slot as their producers left them, 0 where nobody said.
  std::uint8_t bits(Slot slot) const {
    return slot < 0 ? std::uint8_t{0} : slots_[index(slot)].bits;
  }
  /// Says that the slot holds values of `bits` bits.
  void set_bits(Slot slot, std::uint8_t bits) { slots_[index(slot)].bits = bits; }

  /// Drops the records from `first` on for which keep[i - first] is false. What read
  /// a dropped record reads what the dropped record had read.
  void keep_only(std::size_t first, const std::vector<bool> &keep);

  std::size_t size() const { return layers_.size(); }
  std::vector<Layer> &layers() { return layers_; }
  const std::vector<Layer> &layers() const { return layers_; }
  Dims input_dims(std::size_t record) const { return dims(2 * record); }
  Dims output_dims(std::size_t record) const { return dims(2 * record + 1); }
  /// Operands of record i: sources()[source_starts()[i] .. source_starts()[i + 1]].
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
  std::int32_t n_inputs_ = 0; ///< whose slots are the first ones
  /// Who wrote a piece of memory last, and how many bits its values have.
  struct Memory {
    std::int32_t producer;
    std::uint8_t bits;
    bool written_through_view;
  };
  std::vector<Memory> slots_;
  std::vector<std::uint8_t> output_bits_; ///< of each record's values, 0: not said
};

} // namespace bopscount
