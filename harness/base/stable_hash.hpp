// A hash of text that is the same in every build and on every machine, now and later: shards of one run agree by it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pidleak {

/// FNV-1a with 64 bits, its bits mixed afterwards: its lowest ones alone are little more than a parity of the text's.
std::uint64_t stable_hash(std::string_view text);

/// 16 hexadecimal digits.
std::string hash_text(std::uint64_t hash);

} // namespace pidleak
