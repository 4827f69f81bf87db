#include <catch2/catch_test_macros.hpp>
#include <pidleak/catch2.hpp>

#include <cstdlib>

CATCH_REGISTER_LISTENER(pidleak::Catch2Listener)

TEST_CASE("catch2-clean") { CHECK(std::system("true") == 0); }

TEST_CASE("catch2-leaking") { CHECK(std::system("sleep 600 >/dev/null 2>&1 &") == 0); }
