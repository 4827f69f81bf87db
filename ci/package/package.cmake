# What others find with find_package(pidleak), after `cmake --install` or in the build tree: the program
# pidleak::pidleak, and the functions of pidleakGuard.cmake.
include(CMakePackageConfigHelpers)
set(package_destination ${CMAKE_INSTALL_LIBDIR}/cmake/pidleak)
set(package_files ${PROJECT_BINARY_DIR}/pidleakConfig.cmake ${PROJECT_BINARY_DIR}/pidleakConfigVersion.cmake
  ${PROJECT_BINARY_DIR}/pidleakGuard.cmake)
configure_file(ci/package/pidleakConfig.cmake ${PROJECT_BINARY_DIR}/pidleakConfig.cmake COPYONLY)
configure_file(ci/package/pidleakGuard.cmake ${PROJECT_BINARY_DIR}/pidleakGuard.cmake COPYONLY)
# A program is for whoever can execute it, whatever they compile for.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pidleakConfigVersion.cmake COMPATIBILITY SameMajorVersion
  ARCH_INDEPENDENT)
install(FILES ${package_files} DESTINATION ${package_destination})
install(EXPORT pidleak NAMESPACE pidleak:: FILE pidleakTargets.cmake DESTINATION ${package_destination})
export(EXPORT pidleak NAMESPACE pidleak:: FILE ${PROJECT_BINARY_DIR}/pidleakTargets.cmake)

install(FILES ci/package/pidleak.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright) # where Debian's policy wants it
