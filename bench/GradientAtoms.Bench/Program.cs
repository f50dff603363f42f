using System.Runtime.CompilerServices;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Models.Native;

RuntimeHelpers.RunModuleConstructor(typeof(TorchLibrary).Module.ModuleHandle);
const string usage = """
    score --codes codes.csv --labels labels.jsonl [--limit N | --documents documents.csv] [--minimum-task 8] [--background general] [--seed 0]
        Scores a run's codes (gatoms export csv RUN --table codes) against labels ({"id", "task"} a line). The documents are the
        first N of the labels, or those of the table's id column; else those that have a code. Documents of the background
        label are no task of their own and stay out of the mutual information.
    baseline tfidf --data F --labels L [--limit N] [--atoms K] [--seeds s,s,..] [--nonzeros 4.3] [--centre] [--tasks]
        Learns the same dictionary on tf-idf rows of the chats' words, and scores it.
    """;
try
{
    return args switch
    {
        ["score", .. var rest] => ScoreCommand.Run(new(rest)),
        ["baseline", "tfidf", .. var rest] => TfIdfBaseline.Run(new(rest)),
        _ => Fail(usage),
    };
}
catch (Exception error) when (error is ArgumentException or IOException or FormatException or GradientAtoms.GradientAtomsException)
{
    return Fail(error.Message);
}

static int Fail(string text)
{
    Console.Error.WriteLine(text);
    return 2;
}
