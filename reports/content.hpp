// What is to be written to a file, piece by piece: a report of ten thousand replays need not be in memory for it.
#pragma once

#include "harness/os/unique_fd.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace pidleak::reports {

/// Bytes that can be read more than once.
class Content {
public:
  /// A text that lives longer than this.
  Content(std::string_view text); // NOLINT(google-explicit-constructor): a text is content
  Content(const std::string &text) : Content(std::string_view(text)) {} // NOLINT(google-explicit-constructor)
  Content(const char *text) : Content(std::string_view(text)) {}        // NOLINT(google-explicit-constructor)
  /// `size` bytes, of which `piece_at` gives some that start at a place, at least one. They need to live until its next
  /// call. It may throw.
  Content(std::size_t size, std::function<std::string_view(std::size_t)> piece_at)
      : size_(size), piece_at_(std::move(piece_at)) {}

  std::size_t size() const { return size_; }
  /// Calls `write` for one piece after another of the bytes from `from` to `to`.
  void each_piece(std::size_t from, std::size_t to, const std::function<void(std::string_view)> &write) const;
  /// Some bytes from there on, at least one; they live until the next call.
  std::string_view piece_at(std::size_t place) const { return piece_at_(place); }

private:
  std::size_t size_;
  std::function<std::string_view(std::size_t)> piece_at_;
};

/// Bytes that are put aside in a file without a name, in $TMPDIR or /tmp: it goes with the process. What that file
/// can't take (a full disk, no such directory) is kept in memory.
class Spool {
public:
  Spool();
  void append(std::string_view bytes);
  /// What was appended so far. The spool must outlive it. To read it throws SyscallError.
  Content content() const;

private:
  std::string_view piece_at(std::size_t place) const;

  os::UniqueFd file_; // none: all is in memory
  std::size_t in_file_ = 0;
  std::string in_memory_; // what follows
  mutable std::string piece_;
};

} // namespace pidleak::reports
