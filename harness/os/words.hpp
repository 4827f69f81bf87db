// The words and numbers that the text of /proc is made of.
#pragma once

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

namespace pidleak::os {

/// False: the text is no such number, or more than that.
template <class T>
bool parse_number(std::string_view text, T &value, int base = 10) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

/// Between spaces, tabs and line breaks.
inline std::vector<std::string_view> split_words(std::string_view text) {
  auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  std::vector<std::string_view> words;
  for (auto end = text.begin();;) {
    auto start = std::find_if_not(end, text.end(), is_space);
    if (start == text.end())
      return words;
    end = std::find_if(start, text.end(), is_space);
    words.emplace_back(start, end);
  }
}

} // namespace pidleak::os
