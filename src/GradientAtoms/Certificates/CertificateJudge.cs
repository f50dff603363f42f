namespace GradientAtoms.Certificates;

/// <summary>Puts together what nulls, seeds, resamples and cuts say of each pole.</summary>
internal static class CertificateJudge
{
    /// <summary>Judges poles.</summary>
    /// <param name="poles">The poles of enough documents.</param>
    /// <param name="units">All pieces of work.</param>
    /// <param name="options">The limits.</param>
    public static IReadOnlyList<PoleCertificate> Judge(IReadOnlyList<PoleStatistic> poles, IReadOnlyList<CertificateUnit> units, CertificateOptions options)
    {
        var nulls = units.Where(unit => unit.Kind == "null").Select(unit => unit.Poles!).ToArray();
        var everyNull = nulls.SelectMany(list => list).ToArray();
        var separations = new NullCurve(everyNull.Select(pole => (pole.Documents, pole.Separation)));
        var coherences = new NullCurve(everyNull.Select(pole => (pole.Documents, pole.Coherence)));
        var agreements = new NullCurve(everyNull.Where(pole => pole.Agreement is not null).Select(pole => (pole.Documents, pole.Agreement!.Value)));
        var gains = new NullCurve(everyNull.Where(pole => pole.Gain is not null).Select(pole => (pole.Documents, pole.Gain!.Value)));
        double[] scores = [.. poles.Select(pole => separations.Score(pole.Documents, pole.Separation))];
        var decoys = DecoyScores(nulls);
        var (fdr, familyWise) = (DecoyTest.FalseDiscoveryRates(scores, decoys, options.IsEstimate ? 0 : 1), DecoyTest.FamilyWiseRates(scores, decoys));
        var isBeyond = familyWise.Length > 0 && familyWise.Min() <= options.MaximumRate;
        var cuts = units.Where(unit => unit is { Kind: "cut", Agreements: not null }).ToArray();
        return [.. poles.Select((pole, place) =>
        {
            double[] Cosines(string kind) => [.. units.Where(unit => unit.Kind == kind).Select(unit => unit.Cosines![pole.Atom])];
            var seeds = Cosines("seed");
            var bar = Math.Max(options.SmallestReturn, Cosines("null").DefaultIfEmpty(0).Max());
            var certificate = new PoleCertificate
            {
                Atom = pole.Atom,
                Sign = pole.Sign,
                Documents = pole.Documents,
                Separation = pole.Separation,
                SeparationNull = separations.At(pole.Documents).Location,
                CoherenceNull = coherences.At(pole.Documents).Location,
                Fdr = fdr[place],
                FamilyWise = familyWise[place],
                Recurrence = Mean(seeds),
                RecurrenceBar = bar,
                Resampled = Mean(Cosines("resample")),
                Agreement = Mean([.. cuts.Select(cut => cut.Agreements![place])]),
                AgreementNull = agreements.Quantile(pole.Documents, options.Level),
                CodingGain = Mean([.. cuts.Select(cut => cut.Gains![place])]),
                CodingGainNull = gains.Quantile(pole.Documents, options.Level),
                Reasons = [],
            };
            return certificate with { Reasons = [.. Against(certificate, seeds, bar, isBeyond, options)] };
        })];
    }

    private static IEnumerable<string> Against(PoleCertificate pole, double[] seeds, double bar, bool isBeyond, CertificateOptions options)
    {
        if (pole.Fdr > options.MaximumRate)
            yield return "chance";
        else if (!isBeyond)
            yield return "run";
        if (!(pole.CodingGain > pole.CodingGainNull))
            yield return "gain";
        if (seeds.Length == 0 || seeds.Count(cosine => cosine >= bar) < options.ReturnShare * seeds.Length)
            yield return "seeds";
        if (!(pole.Agreement > pole.AgreementNull))
            yield return "thirds";
    }

    // Each null is scored by the others: by itself it would look more ordinary than a pole that had no part in the curve.
    private static List<IReadOnlyList<double>> DecoyScores(IReadOnlyList<NullPole>[] nulls)
    {
        var scores = new List<IReadOnlyList<double>>();
        for (var own = 0; own < nulls.Length; own++)
        {
            var others = new NullCurve(nulls.Where((_, index) => index != own || nulls.Length == 1).SelectMany(list => list).Select(pole => (pole.Documents, pole.Separation)));
            scores.Add([.. nulls[own].Select(pole => others.Score(pole.Documents, pole.Separation))]);
        }

        return scores;
    }

    private static double? Mean(double[] values) => values.Length == 0 ? null : values.Average();
}
