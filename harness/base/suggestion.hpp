// What a word that is not known may have been meant to be.
#pragma once

#include <string>
#include <vector>

namespace pidleak {

/// `; did you mean "..."?` where one of the words is close, else the list of all.
std::string suggestion(const std::string &word, const std::vector<std::string> &known);
/// The one that is close, or nothing.
const std::string *nearest_of(const std::string &word, const std::vector<std::string> &known);

} // namespace pidleak
