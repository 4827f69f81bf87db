#include "harness/base/stable_hash.hpp"

#include <fmt/format.h>

namespace pidleak {

std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text)
    hash = (hash ^ c) * 0x100000001b3;
  for (std::uint64_t factor : {0xff51afd7ed558ccdULL, 0xc4ceb9fe1a85ec53ULL}) // MurmurHash3's finalizer
    hash = (hash ^ (hash >> 33)) * factor;
  return hash ^ (hash >> 33);
}

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

} // namespace pidleak
