# What every target of this project has in common: the standard, the warnings, the sanitizers.
add_library(pidleak_settings INTERFACE)
target_compile_features(pidleak_settings INTERFACE cxx_std_20)
target_compile_definitions(pidleak_settings INTERFACE
  _GNU_SOURCE PIDLEAK_VERSION="${PROJECT_VERSION}")
target_include_directories(pidleak_settings INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(pidleak_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
  $<$<BOOL:${PIDLEAK_WERROR}>:-Werror>)
# What a program does not call is not in it: a library is compiled in few large pieces.
target_compile_options(pidleak_settings INTERFACE -ffunction-sections -fdata-sections)
target_link_options(pidleak_settings INTERFACE -Wl,--gc-sections)
if(NOT PIDLEAK_SANITIZE)
  # For libpidleak.so, and for libraries of others that are linked with the archive.
  target_compile_options(pidleak_settings INTERFACE -fPIC -fvisibility=hidden)
endif()
if(PIDLEAK_SANITIZE)
  # Not vptr: that check looks at memory through a pipe, and where there is no descriptor left it calls objects broken.
  target_compile_options(pidleak_settings INTERFACE -fsanitize=address,undefined -fno-sanitize=vptr
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fno-pie)
  target_compile_definitions(pidleak_settings INTERFACE _GLIBCXX_ASSERTIONS)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_compile_options(pidleak_settings INTERFACE -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/ci/sanitizers.ignore)
  endif()
  # At a fixed address: else each start relocates half a million places, and the tests start very many processes.
  target_link_options(pidleak_settings INTERFACE -fsanitize=address,undefined -no-pie)
endif()
# What every target of this project uses: fmt's compiled part, the text of JSON, words and their spelling.
add_library(pidleak_base STATIC harness/base/fmt.cpp harness/base/json.cpp harness/base/spelling.cpp harness/base/stable_hash.cpp harness/base/suggestion.cpp)
target_include_directories(pidleak_base PUBLIC $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(pidleak_base PUBLIC pidleak_settings Boost::headers nlohmann_json::nlohmann_json)

# What most files include, parsed once. For clang alone: g++ gains a tenth by it, clang the half.
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  target_precompile_headers(pidleak_base PRIVATE <algorithm> <chrono> <filesystem> <functional> <map> <optional> <set>
    <string> <variant> <vector> <boost/describe/enum.hpp> <fmt/format.h> <fmt/ranges.h> <nlohmann/json.hpp>)
  target_compile_options(pidleak_settings INTERFACE -Xclang -fno-pch-timestamp) # for ccache
endif()
# pidleak_parse_once(NAME FROM): NAME includes first what FROM, made with the same options, has parsed.
function(pidleak_parse_once name from)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_precompile_headers(${name} REUSE_FROM ${from})
  endif()
endfunction()

# pidleak_library(NAME SOURCES... [USES LIBRARIES...])
function(pidleak_library name)
  cmake_parse_arguments(arg "" "" "USES" ${ARGN})
  add_library(pidleak_${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  set_target_properties(pidleak_${name} PROPERTIES UNITY_BUILD_BATCH_SIZE 20) # each batch costs 3 s of headers
  target_link_libraries(pidleak_${name} PUBLIC pidleak_base ${arg_USES})
  pidleak_parse_once(pidleak_${name} pidleak_base)
endfunction()

# A static program starts soonest, and its forks copy least. Position independent: one that is not sorts all its frames
# at the first exception; its relocations are packed (binutils 2.38, glibc 2.36), each page of them is one more to read.
include(CheckCXXSourceCompiles)
set(CMAKE_REQUIRED_LINK_OPTIONS -static-pie -Wl,-z,pack-relative-relocs)
check_cxx_source_compiles("int main() {}" PIDLEAK_CAN_LINK_STATIC_PIE)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
function(pidleak_link_statically name)
  if(PIDLEAK_CAN_LINK_STATIC_PIE)
    target_link_options(${name} PRIVATE -static-pie -Wl,-z,pack-relative-relocs)
  elseif(PIDLEAK_STATIC)
    target_link_options(${name} PRIVATE -static)
  endif()
endfunction()
function(pidleak_start_soon)
  if(NOT PIDLEAK_SANITIZE AND NOT PIDLEAK_STATIC) # else it is done
    foreach(name IN LISTS ARGN)
      pidleak_link_statically(${name})
    endforeach()
  endif()
endfunction()

# What is installed; and the same programs linked statically, for machines without their libraries.
add_custom_target(programs)
add_custom_target(static_programs)

# The same file by other names: not symbolic links, so that each process says which of them it runs.
function(pidleak_link_names target)
  foreach(also IN LISTS ARGN)
    add_custom_command(TARGET ${target} POST_BUILD COMMAND ${CMAKE_COMMAND} -E rm -f $<TARGET_FILE_DIR:${target}>/${also}
      COMMAND ${CMAKE_COMMAND} -E create_hardlink $<TARGET_FILE:${target}> $<TARGET_FILE_DIR:${target}>/${also} VERBATIM)
  endforeach()
endfunction()

# pidleak_program(NAME SOURCE... [USES LIBRARIES...] [ALSO NAMES...] [HELPER] [SHARED]): HELPER programs are started by
# others, not by users. ALSO: other names that the program acts by. SHARED: there is no static one.
function(pidleak_program name)
  cmake_parse_arguments(arg "HELPER;SHARED" "" "USES;ALSO" ${ARGN})
  add_library(${name}_objects OBJECT ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name}_objects PUBLIC ${arg_USES})
  pidleak_parse_once(${name}_objects pidleak_base)
  add_executable(${name})
  target_link_libraries(${name} PRIVATE ${name}_objects)
  add_dependencies(programs ${name})
  pidleak_link_names(${name} ${arg_ALSO})
  # Bound at once: else each process that is forked looks the same functions up anew, on pages of its own.
  target_link_options(${name} PRIVATE -Wl,-z,now)
  if(PIDLEAK_STATIC)
    pidleak_link_statically(${name})
  endif()
  if(arg_HELPER)
    install(TARGETS ${name} RUNTIME DESTINATION libexec/pidleak COMPONENT programs)
    foreach(also IN LISTS arg_ALSO)
      install(CODE "set(to \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/libexec/pidleak\")
        file(CREATE_LINK \"\${to}/${name}\" \"\${to}/${also}\")" COMPONENT programs)
    endforeach()
  else()
    install(TARGETS ${name} EXPORT pidleak RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  endif()
  if(NOT arg_SHARED AND NOT PIDLEAK_SANITIZE AND NOT PIDLEAK_STATIC)
    add_executable(${name}-static EXCLUDE_FROM_ALL)
    target_link_libraries(${name}-static PRIVATE ${name}_objects)
    target_link_options(${name}-static PRIVATE -static)
    set_target_properties(${name}-static PROPERTIES OUTPUT_NAME ${name}
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/static)
    add_dependencies(static_programs ${name}-static)
    pidleak_link_names(${name}-static ${arg_ALSO})
  endif()
endfunction()
