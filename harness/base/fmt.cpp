// fmt's compiled part. Debian has it as a shared library only, and `pidleak guard`, which stands before other people's
// commands, costs what it loads.
#include <fmt/format-inl.h>

namespace fmt::detail {
template thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template char decimal_point_impl<char>(locale_ref);
} // namespace fmt::detail
