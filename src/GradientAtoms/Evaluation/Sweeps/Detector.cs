using System.Text.RegularExpressions;

namespace GradientAtoms.Evaluation.Sweeps;

/// <summary>Whether an answer shows a behaviour: a rule over its text that anyone can check, never a model's opinion.</summary>
/// <param name="Name">For tables: <c>bullets</c>, <c>language:French</c>.</param>
/// <param name="About">The rule in words.</param>
/// <param name="Shows">The rule; it is given the whole answer.</param>
public sealed record Detector(string Name, string About, Func<string, bool> Shows)
{
    /// <summary>Whether an answer shows it; an empty one shows nothing, and one that takes a regular expression too long neither.</summary>
    /// <param name="answer">The answer.</param>
    public bool IsShownBy(string answer)
    {
        ArgumentNullException.ThrowIfNull(answer);
        try
        {
            return !string.IsNullOrWhiteSpace(answer) && Shows(answer.Trim());
        }
        catch (RegexMatchTimeoutException)
        {
            return false;
        }
    }

    /// <summary>
    /// The detector that tells a pole's documents best from all others: of the largest difference of rates between the answers of
    /// the pole's documents and those of the rest. It is chosen from the data, before any steered answer is seen.
    /// </summary>
    /// <param name="detectors">Those to choose from.</param>
    /// <param name="own">Answers of the pole's documents.</param>
    /// <param name="others">Answers of the others.</param>
    /// <returns>One a detector, the best first; those of equal contrast in the order given.</returns>
    public static IReadOnlyList<DetectorContrast> Contrasts(IReadOnlyList<Detector> detectors, IReadOnlyCollection<string> own, IReadOnlyCollection<string> others) =>
        [.. detectors
            .Select(detector => new DetectorContrast(detector, Proportion.Of(own, detector.IsShownBy), Proportion.Of(others, detector.IsShownBy)))
            .OrderByDescending(contrast => double.IsNaN(contrast.Difference) ? double.NegativeInfinity : contrast.Difference)];
}

/// <summary>How well a detector tells a pole's documents from others.</summary>
/// <param name="Detector">The detector.</param>
/// <param name="Own">Of the answers of the pole's documents.</param>
/// <param name="Others">Of those of the others.</param>
public sealed record DetectorContrast(Detector Detector, Proportion Own, Proportion Others)
{
    /// <summary>The difference of the two rates.</summary>
    public double Difference => Own.Rate - Others.Rate;
}
