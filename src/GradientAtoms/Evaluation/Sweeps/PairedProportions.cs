namespace GradientAtoms.Evaluation.Sweeps;

/// <summary>The same questions answered without and with a step, and whether the answers show something.</summary>
/// <param name="Both">Questions whose answers show it both times.</param>
/// <param name="Gained">Only with the step.</param>
/// <param name="Lost">Only without the step.</param>
/// <param name="Neither">Neither time.</param>
public sealed record PairedProportions(int Both, int Gained, int Lost, int Neither)
{
    private const double AllOfIt = 1;

    /// <summary>Questions.</summary>
    public int Total => Both + Gained + Lost + Neither;

    /// <summary>Without the step.</summary>
    public Proportion Before => new(Both + Lost, Total);

    /// <summary>With the step.</summary>
    public Proportion After => new(Both + Gained, Total);

    /// <summary>The rate with the step less the rate without; NaN of no question.</summary>
    public double Change => (double)(Gained - Lost) / Total;

    /// <summary>
    /// The interval of 95 % of <see cref="Change"/>: the hybrid score method for paired proportions (Newcombe, 1998, method 10),
    /// made of Wilson's intervals of both rates and their correlation. Unlike ± 2 standard errors it stays within −1 to 1 and is
    /// not empty where no answer changed. −1 to 1 of no question.
    /// </summary>
    public (double Low, double High) Interval
    {
        get
        {
            if (Total == 0)
            {
                return (-1, 1);
            }

            var (after, before) = (After, Before);
            var (afterLow, afterHigh) = (after.Rate - after.Interval.Low, after.Interval.High - after.Rate);
            var (beforeLow, beforeHigh) = (before.Rate - before.Interval.Low, before.Interval.High - before.Rate);
            var phi = Correlation();
            double Length(double one, double other) => Math.Sqrt(Math.Max(0, (one * one) - (2 * phi * one * other) + (other * other)));
            return (Math.Max(-AllOfIt, Change - Length(afterLow, beforeHigh)), Math.Min(AllOfIt, Change + Length(afterHigh, beforeLow)));
        }
    }

    /// <summary>McNemar's exact test that gains and losses are equally likely, two-sided: of <see cref="Gained"/> + <see cref="Lost"/> tosses of a coin, as few on one side. 1 where nothing changed.</summary>
    public double McNemar
    {
        get
        {
            var (changed, fewer) = (Gained + Lost, Math.Min(Gained, Lost));
            var (term, sum) = (Math.Pow(0.5, changed), 0.0); // C(n, 0) / 2^n; n is a number of questions, far from where this is 0
            for (var count = 0; count <= fewer; count++)
            {
                sum += term;
                term *= (double)(changed - count) / (count + 1);
            }

            return Math.Min(1, 2 * sum);
        }
    }

    /// <summary>Of answers to the same questions, in the same order.</summary>
    /// <param name="pairs">Whether each question's answer shows it, without and with the step.</param>
    public static PairedProportions Of(IEnumerable<(bool Before, bool After)> pairs)
    {
        var (both, gained, lost, neither) = (0, 0, 0, 0);
        foreach (var pair in pairs)
        {
            _ = pair switch
            {
                (true, true) => both++,
                (false, true) => gained++,
                (true, false) => lost++,
                _ => neither++,
            };
        }

        return new(both, gained, lost, neither);
    }

    // φ of the two answers, with Newcombe's correction for continuity where it is above 0; 0 where one rate is 0 or 1.
    private double Correlation()
    {
        double margins = (double)After.Count * (Total - After.Count) * Before.Count * (Total - Before.Count);
        if (margins == 0)
        {
            return 0;
        }

        var cross = ((double)Both * Neither) - ((double)Gained * Lost);
        return (cross > 0 ? Math.Max(0, cross - (Total / 2.0)) : cross) / Math.Sqrt(margins);
    }
}
