// The one translation unit that holds Boost.Process v2 (BOOST_PROCESS_V2_SEPARATE_COMPILATION elsewhere).
#include <boost/process/v2/src.hpp>
