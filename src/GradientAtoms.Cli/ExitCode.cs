namespace GradientAtoms.Cli;

/// <summary>What the process ends with. The one place where an error becomes a number.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Unexpected = 1;
    public const int Usage = 2;
    public const int BadInput = 3;
    public const int OverBudget = 4;
    public const int TooManyRejected = 5;
    public const int Endpoint = 6;
    public const int Interrupted = 130;

    /// <summary>The first digit of an error's code tells its kind.</summary>
    public static int Of(GradientAtomsException error) => error.Code switch
    {
        ['G', 'A', '1', ..] => Usage,
        ['G', 'A', '2', ..] => BadInput,
        ['G', 'A', '3', ..] => OverBudget,
        ['G', 'A', '4', ..] => TooManyRejected,
        ['G', 'A', '5', ..] => Endpoint,
        _ => Unexpected,
    };
}
