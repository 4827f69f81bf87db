// The page of the HTML rendering, with its style and its script: what is the same in every one.
#pragma once

#include <string_view>

namespace pidleak::reports::page {

extern const std::string_view before_table; // the table of verdicts, for readers without JavaScript
extern const std::string_view before_data;  // the reports, as JSON
extern const std::string_view after_data;

} // namespace pidleak::reports::page
