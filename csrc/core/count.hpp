/// Costs of recorded layers: by layer, in total, and by group.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "core/costs.hpp"
#include "core/layer.hpp"
#include "core/rules.hpp"

namespace bopscount {

/// Records at equal distances in memory.
class LayerRow {
public:
  /// Records next to each other.
  LayerRow(std::span<const Layer> layers)
      : LayerRow(reinterpret_cast<const std::byte *>(layers.data()), layers.size(), sizeof(Layer)) {
  }
  /// Records whose starts are `stride` bytes apart and aligned.
  LayerRow(const std::byte *first, std::size_t size, std::ptrdiff_t stride)
      : first_(first), size_(size), stride_(stride) {}

  /// Return the number of records.
  std::size_t size() const { return size_; }
  /// Return record i.
  const Layer &operator[](std::size_t i) const {
    return *reinterpret_cast<const Layer *>(first_ + static_cast<std::ptrdiff_t>(i) * stride_);
  }

private:
  const std::byte *first_;
  std::size_t size_;
  std::ptrdiff_t stride_;
};

/// Error of a record that cannot be counted.
class LayerError : public std::invalid_argument {
public:
  LayerError(std::size_t index, const std::string &what)
      : std::invalid_argument(what), layer(index) {}
  std::size_t layer; ///< index of the record
};

/// Error of a layer with a cost over 2^63 - 1.
class LayerOverflow : public std::overflow_error {
public:
  LayerOverflow(std::size_t index, const std::string &what)
      : std::overflow_error(what), layer(index) {}
  std::size_t layer; ///< index of the record
};

/// Write the costs of layers[i] to costs[i]; both have the same length.
/// Throws LayerError or LayerOverflow.
///
/// With `discount_zeros`, a layer of a `prunable` kind whose non-zero weights are known costs
/// their share of the macs, rounded down, and their memory of the weight.
void layer_costs(std::span<const Layer> layers, Rules rules, std::span<Costs> costs,
                 bool discount_zeros = false);

/// Return the sums over all layers. Throws LayerError or LayerOverflow.
CostSums count_totals(LayerRow layers, Rules rules, bool discount_zeros = false);
inline CostSums count_totals(std::span<const Layer> layers, Rules rules,
                             bool discount_zeros = false) {
  return count_totals(LayerRow(layers), rules, discount_zeros);
}

/// Add the costs of layers[i] to sums[groups[i]], or to none for a group of -1.
/// `groups` has the length of `layers`; its values are below sums.size().
/// Throws LayerError or LayerOverflow.
void count_groups(std::span<const Layer> layers, std::span<const std::int32_t> groups, Rules rules,
                  std::span<CostSums> sums, bool discount_zeros = false);

} // namespace bopscount
