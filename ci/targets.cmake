# What every target of this project has in common: the standard, the warnings, the sanitizers.
add_library(pidleak_settings INTERFACE)
target_compile_features(pidleak_settings INTERFACE cxx_std_20)
target_compile_definitions(pidleak_settings INTERFACE
  _GNU_SOURCE PIDLEAK_VERSION="${PROJECT_VERSION}")
target_include_directories(pidleak_settings INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(pidleak_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers
  $<$<BOOL:${PIDLEAK_WERROR}>:-Werror>)
if(PIDLEAK_SANITIZE)
  target_compile_options(pidleak_settings INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fno-omit-frame-pointer)
  target_link_options(pidleak_settings INTERFACE -fsanitize=address,undefined)
endif()
if(PIDLEAK_STATIC)
  target_link_options(pidleak_settings INTERFACE -static)
endif()
add_library(pidleak_fmt STATIC harness/base/fmt.cpp)
target_compile_features(pidleak_fmt PUBLIC cxx_std_20)
target_include_directories(pidleak_fmt PUBLIC $<TARGET_PROPERTY:fmt::fmt,INTERFACE_INCLUDE_DIRECTORIES>)
target_link_libraries(pidleak_settings INTERFACE pidleak_fmt)

# pidleak_library(NAME SOURCES... [USES LIBRARIES...])
function(pidleak_library name)
  cmake_parse_arguments(arg "" "" "USES" ${ARGN})
  add_library(pidleak_${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(pidleak_${name} PUBLIC pidleak_settings ${arg_USES})
endfunction()

# pidleak_program(NAME SOURCE... [USES LIBRARIES...] [HELPER]): HELPER programs are started by others, not by users.
function(pidleak_program name)
  cmake_parse_arguments(arg "HELPER" "" "USES" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${arg_USES})
  if(arg_HELPER)
    install(TARGETS ${name} RUNTIME DESTINATION libexec/pidleak)
  else()
    install(TARGETS ${name} EXPORT pidleak RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()
