// Bytes of unknown origin (a process's name, its arguments, its standard error) as text that is safe to show.
#include "reports/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace pidleak::reports {
namespace {

/// Bytes of the well-formed sequence that `bytes` start with (The Unicode Standard, table 3-7); 0: there is none.
std::size_t well_formed(std::string_view bytes) {
  auto byte = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  auto lead = byte(0);
  if (lead < 0x80)
    return 1;
  std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  // The second byte tells overlong forms, surrogates and what is beyond U+10FFFF.
  auto least = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
  auto most = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
  if (byte(1) < least || byte(1) > most)
    return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf)
      return 0;
  return length;
}

/// The code point of a well-formed sequence that a terminal obeys instead of showing it, else 0: C1 controls
/// (U+009B starts an escape sequence), line separators, and those that turn the direction of what follows.
unsigned format_control(std::string_view sequence) {
  auto bits = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]) & 0x3fU; };
  unsigned point = 0;
  if (sequence.size() == 2)
    point = (static_cast<unsigned char>(sequence[0]) & 0x1fU) << 6 | bits(1);
  else if (sequence.size() == 3)
    point = (static_cast<unsigned char>(sequence[0]) & 0x0fU) << 12 | bits(1) << 6 | bits(2);
  bool obeyed = (point >= 0x80 && point <= 0x9f) || point == 0x61c || point == 0x200e || point == 0x200f ||
                (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
  return obeyed ? point : 0;
}

} // namespace

std::string as_utf8(const std::string &bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::string_view rest = bytes; !rest.empty();) {
    auto length = well_formed(rest);
    if (length)
      text += rest.substr(0, length);
    else
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[0]));
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return text;
}

std::string printable(const std::string &bytes, LineBreaks breaks) {
  auto utf8 = as_utf8(bytes);
  std::string text;
  text.reserve(utf8.size());
  for (std::string_view rest = utf8; !rest.empty();) {
    auto sequence = rest.substr(0, well_formed(rest));
    auto first = static_cast<unsigned char>(sequence[0]);
    bool kept = breaks == LineBreaks::kept && (first == '\n' || first == '\t');
    if ((first < 0x20 && !kept) || first == 0x7f)
      text += fmt::format("\\x{:02x}", first);
    else if (auto point = format_control(sequence))
      text += fmt::format("\\u{:04x}", point);
    else
      text += sequence;
    rest.remove_prefix(sequence.size());
  }
  return text;
}

} // namespace pidleak::reports
