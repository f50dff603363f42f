using System.Runtime.CompilerServices;
using GradientAtoms.Bench.Audits;
using GradientAtoms.Bench.Nulls;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Bench.Speed;
using GradientAtoms.Bench.Worlds;
using GradientAtoms.Models.Native;

FreedMemory.Keep();
RuntimeHelpers.RunModuleConstructor(typeof(TorchLibrary).Module.ModuleHandle);
const string usage = """
    score --codes codes.csv --labels labels.jsonl [--limit N | --documents documents.csv] [--minimum-task 8] [--background general] [--seed 0]
        Scores a run's codes (gatoms export csv RUN --table codes) against labels ({"id", "task"} a line). The documents are the
        first N of the labels, or those of the table's id column; else those that have a code. Documents of the background
        label are no task of their own and stay out of the mutual information.
    baseline tfidf --data F --labels L [--limit N] [--atoms K] [--seeds s,s,..] [--nonzeros 4.3] [--centre] [--tasks]
        Learns the same dictionary on tf-idf rows of the chats' words, and scores it.
    table --run RUN --labels L --out DIR [--rows ekfac,sketch,reference,raw,random,hidden,tfidf] [--seeds 0,1,2,3,4] [--atoms 200] [--nonzeros 5] [--starts 8]
        Ours, the reference and baselines on a run's documents, each with its own best setting, over several seeds; goes on where it stopped.
    fixture --run RUN --fixture DIR [--model MODEL]
        Compares a run of the fixture's documents with what PyTorch computed: losses, norms, curvature, whitened cosines.
    spaces --run RUN --labels L [--spaces exact:0.001:center,reference,raw] [--atoms 200] [--seeds s,s,..] [--starts 8] [--nonzeros 4.3]
        Learns dictionaries on a run's gradients in several coordinate spaces, and scores them.
    steps --run RUN --reference RUN --labels L --data F --out results.json [--first 2001] [--last 5000] [--tasks 8] [--on 20] [--off 40] [--off-tokens N] [--random-shares .12,.25,.5,1] [--random 20] [--neutral N] [--kl .1] [--damping 1] [--extra true] [--faults true]
        Steps along the best poles of labelled tasks, against random directions and the reference's, on documents that were not seen.
    steps-table RESULTS
        The table of such results again.
    behaviours --run RUN --labels L --data F --out questions.jsonl [--first 2001] [--poles 10] [--on 40] [--off 40] [--longest 600]
        The poles of a run whose behaviour a detector sees best, one a detector, with those of the reference's five; questions of documents that were not seen for `gatoms sweep`.
    behaviours-table RUN/sweep/NAME[,RUN/sweep/NAME..]
        What such sweeps found, in one table.
    demo --out DIR [--seeds 201,202,203,204,205] [--kl .2]
        The demo over several seeds: what it finds and what its steps do.
    sizes --runs RUN,RUN.. [--atoms 16,20,24,32,40] [--nonzeros 1,1.5,2,3] [--gates 0,.55] [--codes signed,nonnegative] [--damping .001] [--starts 8]
        What dictionaries of several sizes and sparsities find on the gradients of finished demos.
    caps --runs RUN,RUN.. [--caps 3,1.5,1,.75] [--kl .2] [--model MODEL]
        What steps along found formats of finished demos do under several bounds on the KL of the pole's own documents.
    directions --runs RUN,RUN.. --out results.json [--kl .01,.05] [--random 20] [--model MODEL]
        Steps towards more of each found behaviour of finished demos, at the same neutral KL along every direction, random ones and a plain fine-tune among them.
    nulls --out DIR [--runs 200] [--planted 8] [--members 4,6,8,12,20] [--strengths .3,.5,.7] [--groups 5] [--kinds flat,power,..] [--documents 400] [--size 60] [--atoms 20] [--nonzeros 2] [--starts 3] [--nulls 20]
        Certificates on rows without structure, of eight kinds, and on planted groups: false alarms, power by rate, return under a fresh seed.
    certificates --runs RUN,RUN.. [--labels L] [--nulls 20] [--top 60]
        What is certified in finished runs, beside the documents' labels, and whether it returns under a fresh seed.
    curve --runs RUN,RUN.. [--atoms 11,22,44,88] [--sparsities .7,1,1.4] [--nulls 20] | --auto atoms|sparsity|both [--nonzeros 4.2] [--seed 0]
        How many poles survive seeds, thirds and nulls at other sizes and penalties; with --auto, what --atoms auto and --sparsity auto try and choose.
    detection --out DIR [--seeds 101,102,103] [--rates .005,.01,.02,.03,.05] [--documents 1200]
        Worlds of planted behaviours at several rates: what is found on our coordinates, the reference's, raw gradients, hidden states and tf-idf.
    timeline --out DIR [--seeds 0,1,2] [--documents 800] [--checkpoints 8]
        Behaviours planted in one half of the data, tuned in its order: to which checkpoint several quantities date them.
    pass --run RUN [--model MODEL] [--documents 60] [--rounds 3] [--batch-tokens 1024] [--no-peer]
        Per-document gradients of a run's documents, against the reference's loop in PyTorch.
    dictionary [--documents 5000] [--sizes 6800,5000] [--atoms 500] [--sparsity .1] [--seed 0] [--algorithms lars,cd]
        Our learner against scikit-learn's on planted rows.
    curves [--documents 1000] [--size 1000] [--atoms 100] [--factors .5,1,2,4]
        What the learner costs against documents, numbers a row and atoms.
    planned --runs RUN,RUN.. [--again]
        What runs were planned to take, beside what they took; with --again by the planner as it is now, from the probe that each run recorded.
    plans --out DIR --data F --model M --adapter A
        Ten audits of the built-in and of a real model, planned from a probe and run, and the same table of them in seconds of the processor.
    algebra [--tokens 16384] [--documents 1500] [--rank 8] [--sizes 576,1536]
        Covariances, eigenbases and rotations against numpy.
    benchmarks --run RUN --tiny RUN --out docs/benchmarks.md [--planned RUN,RUN..] [--documents 150] [--rounds 3]
        All of these, into one page: RUN is an audit of a real model of the llama family, --tiny a demo.
    kills --gatoms PROGRAM --model M --data F --out DIR [--adapter A] [--kills 50] [--limit 96] [--nulls 2] [--seed 0]
        An audit killed at random moments and started again, against one that was left alone, byte for byte.
    """;
try
{
    return args switch
    {
        ["score", .. var rest] => ScoreCommand.Run(new(rest)),
        ["baseline", "tfidf", .. var rest] => TfIdfBaseline.Run(new(rest)),
        ["table", .. var rest] => TableCommand.Run(new(rest)),
        ["fixture", .. var rest] => FixtureCommand.Run(new(rest)),
        ["spaces", .. var rest] => SpacesCommand.Run(new(rest)),
        ["steps", .. var rest] => StepsCommand.Run(new(rest)),
        ["steps-table", var path] => StepsTable.Print(path),
        ["behaviours", .. var rest] => BehavioursCommand.Run(new(rest)),
        ["behaviours-table", var folders] => BehavioursTable.Print(folders.Split(',')),
        ["demo", .. var rest] => DemoCommand.Run(new(rest)),
        ["sizes", .. var rest] => SizesCommand.Run(new(rest)),
        ["directions", .. var rest] => DirectionsCommand.Run(new(rest)),
        ["caps", .. var rest] => CapsCommand.Run(new(rest)),
        ["nulls", .. var rest] => NullsCommand.Run(new(rest)),
        ["curve", .. var rest] => CurveCommand.Run(new(rest)),
        ["certificates", .. var rest] => CertificatesCommand.Run(new(rest)),
        ["pass", .. var rest] => PassCommand.Run(new(rest)),
        ["dictionary", .. var rest] => DictionaryCommand.Run(new(rest)),
        ["curves", .. var rest] => CurvesCommand.Run(new(rest)),
        ["planned", .. var rest] => PlannedCommand.Run(new(rest)),
        ["plans", .. var rest] => PlansCommand.Run(new(rest)),
        ["algebra", .. var rest] => AlgebraCommand.Run(new(rest)),
        ["benchmarks", .. var rest] => BenchmarksCommand.Run(new(rest)),
        ["kills", .. var rest] => KillsCommand.Run(new(rest)),
        ["timeline", .. var rest] => TimelineCommand.Run(new(rest)),
        ["detection", .. var rest] => DetectionCommand.Run(new(rest)),
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
