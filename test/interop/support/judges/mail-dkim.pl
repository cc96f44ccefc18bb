# Judges the signatures of mails with Mail::DKIM: ADDRESS PORT FILE..., one line of JSON a file.
# Key records are asked for at the name server given, and nowhere else.

use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::Verifier;
use Net::DNS;

my ($address, $port, @paths) = @ARGV;
my $resolver = Net::DNS::Resolver->new(nameservers => [$address], port => $port, recurse => 0);
Mail::DKIM::DNS::resolver($resolver);

for my $path (@paths) {
    open(my $file, '<:raw', $path) or die "$path: $!";
    my $mail = do { local $/; <$file> };
    my $verifier = Mail::DKIM::Verifier->new();
    $verifier->PRINT($mail);
    $verifier->CLOSE();
    my @verdicts = map {
        {
            domain   => $_->domain // '',
            selector => $_->selector // '',
            result   => $_->result eq 'pass' ? 'pass' : $_->result_detail,
        }
    } $verifier->signatures;
    print JSON::PP->new->canonical->encode(\@verdicts), "\n";
}
