# The app of the Rack servers.
require_relative 'gate'
run ->(env) { [200, { 'content-type' => 'text/plain' }, [answer(env['PATH_INFO'])]] }
