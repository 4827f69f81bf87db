# Tasks done by Ruby's parallel: parallel_tasks.rb WORKERS. Each reads the driver's gate, a FIFO, to its end.
require 'parallel'
require_relative 'gate'

workers = ARGV.fetch(0).to_i
Parallel.each(1..workers, in_processes: workers) do
  File.write("#{DIRECTORY}/in-task-#{Process.pid}", '')
  answer('/block')
end
