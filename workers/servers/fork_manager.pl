# Tasks done by Parallel::ForkManager: fork_manager.pl WORKERS. Each reads the driver's gate, a FIFO, to its end.
use strict;
use warnings;
use Parallel::ForkManager;

my ($workers, $directory) = ($ARGV[0], $ENV{PIDLEAK_DIR});
my $manager = Parallel::ForkManager->new($workers);
for (1 .. $workers) {
    $manager->start and next;
    open(my $in_task, '>', "$directory/in-task-$$") or die $!;
    close $in_task;
    open(my $gate, '<', "$directory/gate") or die $!;
    my @lines = <$gate>;
    $manager->finish;
}
$manager->wait_all_children;
