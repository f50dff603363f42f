namespace GradientAtoms.Cli;

/// <summary>The command line asks for something that cannot be: codes GA1001 to GA1009.</summary>
internal sealed class UsageException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException)
{
    /// <summary>GA1001: the arguments cannot be read.</summary>
    public static UsageException Arguments(string command, string problem, string remedy) => new("GA1001", command, problem, remedy);

    /// <summary>GA1002: options that are right one by one do not go together.</summary>
    public static UsageException Combination(string command, string problem, string remedy) => new("GA1002", command, problem, remedy);

    /// <summary>GA1003: the run has no atom, pole or document of that name.</summary>
    public static UsageException Unknown(string what, string name, string run, string remedy) => new("GA1003", run, $"has no {what} '{name}'", remedy);

    /// <summary>GA1004: a file or folder that the system does not let us read or write.</summary>
    public static UsageException Forbidden(string path, Exception cause) => new("GA1004", path, "the system does not allow this file to be read or written", "check its permissions, or choose another --out", cause);

    /// <summary>GA1007: the data file is not what the run was made from.</summary>
    public static UsageException OtherData(string path, string problem) => new("GA1007", path, problem, "give the file of the audit with --data, or audit again");

    /// <summary>GA1008: the machine lacks something that gatoms needs.</summary>
    public static UsageException Machine(string what, string problem, string remedy) => new("GA1008", what, problem, remedy);

    /// <summary>GA1006: the output exists already.</summary>
    public static UsageException Exists(string path) => new("GA1006", path, "exists already", "choose another --out, or remove it first");
}
