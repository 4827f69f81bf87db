// How a pool's workers come into being: a condition of replays, and what the minimal pool does.
#pragma once

#include <boost/describe/enum.hpp>

namespace pidleak {

/// fork: copies of the owner. spawn: a new program each. forkserver: children of a server that was started for it.
BOOST_DEFINE_ENUM_CLASS(StartMethod, fork, spawn, forkserver)

} // namespace pidleak
