# What others find with find_package(pidleak), after `cmake --install` or in the build tree: the library
# pidleak::pidleak, the program pidleak::program, and the functions of pidleakGuard.cmake. A project
# that adds this one with FetchContent or add_subdirectory() has the same.
include(CMakePackageConfigHelpers)
set(package_destination ${CMAKE_INSTALL_LIBDIR}/cmake/pidleak)
set(package_files ${PROJECT_BINARY_DIR}/pidleakConfig.cmake ${PROJECT_BINARY_DIR}/pidleakConfigVersion.cmake
  ${PROJECT_BINARY_DIR}/pidleakGuard.cmake)
configure_file(ci/package/pidleakConfig.cmake ${PROJECT_BINARY_DIR}/pidleakConfig.cmake COPYONLY)
configure_file(ci/package/pidleakGuard.cmake ${PROJECT_BINARY_DIR}/pidleakGuard.cmake COPYONLY)
# For one architecture, as the library is. A project without languages takes any.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pidleakConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${package_files} DESTINATION ${package_destination})
install(EXPORT pidleak NAMESPACE pidleak:: FILE pidleakTargets.cmake DESTINATION ${package_destination})
export(EXPORT pidleak NAMESPACE pidleak:: FILE ${PROJECT_BINARY_DIR}/pidleakTargets.cmake)
if(NOT PROJECT_IS_TOP_LEVEL)
  include(ci/package/pidleakGuard.cmake) # functions are known everywhere
endif()

install(FILES ci/package/pidleak.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT programs)
install(FILES ci/package/pidleak.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright COMPONENT programs) # where Debian's policy wants it
