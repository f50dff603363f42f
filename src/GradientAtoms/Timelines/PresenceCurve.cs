namespace GradientAtoms.Timelines;

/// <summary>How strongly a group of documents is present at one checkpoint. All figures are in nats a trained token, against the model before the fine-tune.</summary>
/// <param name="Own">How much likelier its documents' trained tokens have become, on average over the documents.</param>
/// <param name="Others">The same of the documents that each is compared with.</param>
/// <param name="Presence">The difference: what the group has learnt beyond documents that were asked alike.</param>
/// <param name="Error">Standard error of <paramref name="Presence"/> over the group's documents.</param>
public sealed record PresencePoint(double Own, double Others, double Presence, double Error);

/// <summary>When a group of documents was learnt.</summary>
/// <param name="Points">One a checkpoint, in the order of the training; the first is before it, all 0.</param>
public sealed record PresenceCurve(IReadOnlyList<PresencePoint> Points)
{
    /// <summary>How many standard errors a presence has to be above 0 to count.</summary>
    public const double Beyond = 2;

    /// <summary>The checkpoint of the largest presence that is beyond its error; null where none is: the group was not learnt beyond the others.</summary>
    public int? Peak
    {
        get
        {
            int? peak = null;
            for (var place = 1; place < Points.Count; place++)
            {
                if (Stands(place) && (peak is not { } best || Points[place].Presence > Points[best].Presence))
                    peak = place;
            }

            return peak;
        }
    }

    /// <summary>The first checkpoint with at least half of the largest presence, beyond its error; null where there is none.</summary>
    public int? Appears => Peak is { } peak ? Enumerable.Range(1, peak).First(place => Stands(place) && Points[place].Presence >= Points[peak].Presence / 2) : null;

    /// <summary>The checkpoint behind the largest rise; null where the group was not learnt.</summary>
    public int? Grows => Peak is null ? null : Enumerable.Range(1, Points.Count - 1).MaxBy(place => Points[place].Presence - Points[place - 1].Presence);

    /// <summary>The first checkpoint behind the peak from which on at most half of the largest presence is left; null where more is left at the end.</summary>
    public int? Fades
    {
        get
        {
            if (Peak is not { } peak || Points[^1].Presence > Points[peak].Presence / 2)
                return null;
            var fades = Points.Count - 1;
            while (Points[fades - 1].Presence <= Points[peak].Presence / 2)
                fades--;
            return fades;
        }
    }

    private bool Stands(int place) => Points[place].Presence > Beyond * Points[place].Error;
}
