#!/usr/bin/env perl
# Writes the table of Unicode's scripts that src/GradientAtoms.Text embeds: .NET knows no scripts.
#
#     perl tools/make_unicode_scripts.pl > src/GradientAtoms.Text/Tokenization/UnicodeScripts.txt

use strict;
use warnings;
use Unicode::UCD qw(prop_invmap);

my ($starts, $scripts) = prop_invmap("Script");
print "# First code point and script of each run, up to the next run. From the Unicode Character Database ",
    Unicode::UCD::UnicodeVersion(), " (Unicode License v3).\n# Made by tools/make_unicode_scripts.pl.\n";
printf "%X %s\n", $starts->[$_], $scripts->[$_] for 0 .. $#$starts;
