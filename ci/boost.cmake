# Boost, for which Process v2 starts programs. Until 1.85 a project compiles it from <boost/process/v2/src.hpp>, in one
# place. That header is gone since, and the library is compiled with Boost. What is there decides, not a number.
if(PIDLEAK_LIBRARY_ONLY) # starts no programs
  find_package(Boost 1.81 REQUIRED)
  return()
endif()
set(Boost_USE_STATIC_LIBS ON) # `pidleak guard` stands before other commands: what it does not load costs nothing
find_package(Boost 1.81 REQUIRED COMPONENTS filesystem) # Asio and Describe are header only
find_file(boost_process_source boost/process/v2/src.hpp PATHS ${Boost_INCLUDE_DIRS} NO_DEFAULT_PATH NO_CACHE)
add_library(pidleak_boost_process INTERFACE)
if(boost_process_source)
  target_sources(pidleak_boost_process INTERFACE ${PROJECT_SOURCE_DIR}/harness/os/boost_process.cpp)
  target_compile_definitions(pidleak_boost_process INTERFACE BOOST_PROCESS_V2_SEPARATE_COMPILATION)
  target_link_libraries(pidleak_boost_process INTERFACE Boost::filesystem)
else()
  find_package(Boost 1.81 REQUIRED COMPONENTS filesystem process)
  target_link_libraries(pidleak_boost_process INTERFACE Boost::process Boost::filesystem)
endif()
